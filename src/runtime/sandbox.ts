// The command line of a bubblewrap around one MCP server: what it can see is built from nothing. Pure. It holds no
// secret: bubblewrap passes on the environment it was started with, and neither names nor values of it appear here.
import { basename, dirname, join } from 'node:path';

/** What was found on this machine. */
export interface SandboxTools {
  readonly bwrap: string;
  /** bubblewrap 0.8 and later: the sandbox cannot make user namespaces of its own. */
  readonly disableUserns: boolean;
}

export interface SandboxSpec {
  readonly tools: SandboxTools;
  /** The Node binary and the libraries it loads, on the host. */
  readonly node: string;
  readonly sharedObjects: readonly string[];
  /** Directory with passwd, group, hosts, nsswitch.conf. */
  readonly etc: string;
  readonly packageDir: string;
  readonly home: string;
  readonly tmp: string;
  /** A directory of compiled code for the server; writable only while it is made. */
  readonly compileCache?: { readonly dir: string; readonly writable: boolean } | null;
  /** The machine's own, none, or none but the proxy whose socket lies in this directory. */
  readonly network: 'none' | 'host' | { readonly proxyDir: string };
  readonly readOnlyPaths: readonly string[];
}

/** Where things are inside. */
export const inside = {
  home: '/home/mcp',
  tmp: '/tmp',
  package: '/opt/mcp',
  cache: '/opt/cache',
  node: '/usr/bin/node',
  path: '/usr/bin:/bin',
  egress: '/run/egress',
  relay: '/opt/relay.cjs',
} as const;

/** Name of the proxy's socket in its directory. */
export const proxySocket = 'proxy.sock';

/** Where the relay inside a sandbox listens; it passes everything on to the proxy's socket. */
export const proxyPort = 3128;

/** Files of the host a server with a network needs: names, and certificates for programs that bring none. */
const networkFiles = [
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/ssl',
  '/etc/pki',
  '/etc/ca-certificates',
  '/usr/share/ca-certificates',
  '/usr/local/share/ca-certificates',
];

/** Libraries that glibc before 2.34 loads by name to look up users and hosts; they lie beside libc. */
const nameLibraries = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2', 'libgcc_s.so.1'];

/** The bubblewrap command up to `--`; the server's own command follows it. */
export function sandboxArgv(spec: SandboxSpec): string[] {
  const open = spec.network === 'host';
  return [
    spec.tools.bwrap,
    ...['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...(open ? [] : ['--unshare-net']),
    ...(spec.tools.disableUserns ? ['--disable-userns'] : []),
    // No --new-session: its input is a pipe and it has no terminal, and the shim signals its process group.
    '--die-with-parent',
    ...['--uid', '1000', '--gid', '1000', '--hostname', 'mcp'],
    ...sharedObjectBinds(spec.sharedObjects),
    ...bind('--ro-bind', spec.node, inside.node),
    ...['--symlink', 'usr/bin', '/bin'],
    ...etcBinds(spec.etc, open),
    ...proxyBinds(spec),
    ...['--proc', '/proc', '--dev', '/dev', '--size', String(16 * 1024 * 1024), '--tmpfs', '/dev/shm'],
    ...['--remount-ro', '/dev'],
    ...bind('--ro-bind', spec.packageDir, inside.package),
    ...cacheBind(spec.compileCache),
    ...spec.readOnlyPaths.flatMap((path) => bind('--ro-bind-try', path, path)),
    ...bind('--bind', spec.home, inside.home),
    ...bind('--bind', spec.tmp, inside.tmp),
    ...['--remount-ro', '/', '--chdir', inside.home],
    '--',
  ];
}

function proxyBinds({ network, etc }: SandboxSpec): string[] {
  if (typeof network === 'string') return [];
  return [
    ...bind('--ro-bind', network.proxyDir, inside.egress),
    ...bind('--ro-bind', join(etc, 'relay.cjs'), inside.relay),
  ];
}

function cacheBind(cache: SandboxSpec['compileCache']): string[] {
  return cache ? bind(cache.writable ? '--bind' : '--ro-bind', cache.dir, inside.cache) : [];
}

function sharedObjectBinds(sharedObjects: readonly string[]): string[] {
  const libc = sharedObjects.find((path) => basename(path).startsWith('libc.'));
  const named = libc === undefined ? [] : nameLibraries.map((name) => join(dirname(libc), name));
  const all = new Set([...sharedObjects, ...named, '/etc/ld.so.cache']);
  return [...all].flatMap((path) => bind('--ro-bind-try', path, path));
}

function etcBinds(etc: string, open: boolean): string[] {
  const own = ['passwd', 'group', 'nsswitch.conf', ...(open ? [] : ['hosts'])];
  return [
    ...own.flatMap((name) => bind('--ro-bind', join(etc, name), `/etc/${name}`)),
    ...(open ? networkFiles.flatMap((path) => bind('--ro-bind-try', path, path)) : []),
  ];
}

function bind(flag: string, from: string, to: string): string[] {
  return [flag, from, to];
}
