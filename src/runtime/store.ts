// What unprivileged processes must read, put once into <data>/store, by version, ours and read-only: the program may lie
// where only root can enter, and may be replaced while instances run. Files are hard-linked where that is safe, else
// copied; a directory appears whole or not at all, also where the power fails in between.

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, constants, copyFileSync, linkSync, statSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { settleDraft } from '../base/durable.ts';
import { inside, proxyPort, proxySocket } from './sandbox.ts';

/** The directory of the store. */
export function storeDir(dataDir: string): string {
  return join(dataDir, 'store');
}

/** Makes the store's directory, enterable by everyone and writable by us only. */
export async function openStore(dataDir: string): Promise<string> {
  const dir = storeDir(dataDir);
  await mkdir(dir, { recursive: true, mode: 0o755 });
  const found = await lstat(dir);
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new Error(`${dir} must be a directory of ours`);
  if ((found.mode & 0o777) !== 0o755) await chmod(dir, 0o755);
  return dir;
}

/**
 * Makes `target` by filling a draft beside it and renaming that, unless it is there already. Several may try at once,
 * in one process or in many: one wins, all find it.
 */
export async function publish(target: string, fill: (draft: string) => Promise<void>): Promise<void> {
  if ((await lstat(target).catch(() => undefined)) !== undefined) return;
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  const draft = `${target}.${process.pid}-${randomBytes(4).toString('hex')}.draft`;
  await mkdir(draft, { mode: 0o755 });
  try {
    await fill(draft);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  await settleDraft(draft, target);
}

/** Names of what is only there while somebody works on it, with the process that does. */
const draftPattern = /^(?:.+\.(\d+)-[0-9a-f]{8}\.draft|(?:warm|npm|probe)-(\d+)(?:-\w+)?)$/;

/** Removes drafts that a kill left behind, of processes that are gone. */
async function removeDrafts(dir: string): Promise<void> {
  for (const name of await readdir(dir).catch(() => [])) {
    const match = draftPattern.exec(name);
    const pid = Number(match?.[1] ?? match?.[2]);
    if (pid > 0 && pid !== process.pid && !exists(pid))
      await rm(join(dir, name), { recursive: true, force: true });
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Puts one file into the store: readable, and executable where `mode` says so, by everyone. */
export function placeFile(from: string, to: string, mode: 0o644 | 0o755): void {
  const { mode: has, uid } = statSync(from);
  // A link shares owner and mode with the original: only one that nobody else can write and all can use is safe.
  const safe = uid === process.getuid?.() && (has & 0o022) === 0 && (has & mode & 0o005) === (mode & 0o005);
  if (safe && linked(from, to)) return;
  copyAsOurs(from, to, mode);
}

/** Copies a file and owns the copy: the system's own copying keeps the owner, who could then change it. */
export function copyAsOurs(from: string, to: string, mode: number): void {
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  chownSync(to, process.getuid?.() ?? -1, process.getgid?.() ?? -1);
  chmodSync(to, mode);
}

/** Another file system, or one without links, is the usual reason why not. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** What of the store the driver itself needs. */
export interface RuntimeFiles {
  readonly node: string;
  /** Directory with the passwd, group, hosts and nsswitch.conf that a sandbox sees. */
  readonly etc: string;
  /** Libraries the Node binary loads, by absolute path. */
  readonly sharedObjects: readonly string[];
}

/** Puts our own Node binary and the sandbox's files into the store. */
export async function placeRuntime(dataDir: string): Promise<RuntimeFiles> {
  const dir = await openStore(dataDir);
  for (const place of ['.', 'packages', 'caches']) await removeDrafts(join(dir, place));
  const home = join(dir, `node-${process.version}-${process.platform}-${process.arch}`);
  await publish(home, async (draft) => {
    await mkdir(join(draft, 'bin'), { mode: 0o755 });
    placeFile(process.execPath, join(draft, 'bin', 'node'), 0o755);
  });
  const etc = join(dir, `etc-${hashOf(etcFiles)}`);
  await publish(etc, async (draft) => {
    for (const [name, text] of Object.entries(etcFiles))
      await writeFile(join(draft, name), text, { mode: 0o644 });
  });
  return { node: join(home, 'bin', 'node'), etc, sharedObjects: ownSharedObjects() };
}

const etcFiles = {
  passwd: 'root:x:0:0:root:/:/usr/sbin/nologin\nmcp:x:1000:1000::/home/mcp:/usr/sbin/nologin\n',
  group: 'root:x:0:\nmcp:x:1000:\n',
  hosts: '127.0.0.1 localhost mcp\n::1 localhost\n',
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  // Loaded into a server that may reach some hosts only. When the port is taken, another process of the sandbox has it.
  'relay.cjs': `'use strict';
const net = require('node:net');
const server = net.createServer((client) => {
  const proxy = net.connect('${inside.egress}/${proxySocket}');
  for (const socket of [client, proxy]) socket.on('error', () => {}).on('close', () => (client.destroy(), proxy.destroy()));
  client.pipe(proxy).pipe(client);
});
server.on('error', () => {}).listen(${proxyPort}, '127.0.0.1').unref();
`,
};

function hashOf(files: Readonly<Record<string, string>>): string {
  return createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 12);
}

/** What the dynamic linker has loaded into this Node, addons left out. */
function ownSharedObjects(): string[] {
  // The network is left out: a report would look names up. (The types do not know the switch yet.)
  const report = Object.assign(process.report, { excludeNetwork: true });
  const { sharedObjects } = report.getReport() as unknown as { sharedObjects: string[] };
  return sharedObjects.filter((path) => path.startsWith('/') && !path.endsWith('.node'));
}
