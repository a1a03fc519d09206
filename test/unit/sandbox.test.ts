// The command lines around a server, as data: what a sandbox shows, what an environment holds, where secrets never are.
import { describe, expect, it } from 'vitest';
import { buildChildSpec, type ChildSpecInput, secretsOf } from '../../src/runtime/child-spec.ts';
import { sandboxArgv } from '../../src/runtime/sandbox.ts';
import { fixtureType, limits } from '../support/driver.ts';

const input: ChildSpecInput = {
  instanceId: '0192f0c1-7c6e-7b7a-8f2b-000000000001',
  type: fixtureType,
  config: {},
  apiKey: null,
  limits,
  home: '/data/instances/i/home',
  tmp: '/data/instances/i/tmp',
  package: { dir: '/data/store/p', script: 'node_modules/p/dist/index.js' },
  files: {
    node: '/data/store/node/bin/node',
    etc: '/data/store/etc-1',
    sharedObjects: ['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2'],
  },
  sandbox: { bwrap: '/usr/bin/bwrap', disableUserns: true },
  netNamespace: true,
  prlimit: '/usr/bin/prlimit',
  userProcessesMax: null,
  compileCache: null,
  httpPort: null,
  egressDir: '/data/instances/i/1/egress',
};

const commandOf = (more: Partial<ChildSpecInput>): string[] => {
  const { command, args } = buildChildSpec({ ...input, ...more });
  return [command, ...args];
};

describe('the command', () => {
  it('is node on the script, without a sandbox or limits', () => {
    expect(commandOf({ sandbox: null, prlimit: null })).toEqual([
      '/data/store/node/bin/node',
      '/data/store/p/node_modules/p/dist/index.js',
    ]);
  });

  it('sets limits first, then the sandbox, then the server as the sandbox sees it', () => {
    const command = commandOf({});
    expect(command.slice(0, 6)).toEqual([
      ...['/usr/bin/prlimit', '--core=0:0', '--nofile=1024:1024', '--fsize=268435456:268435456', '--'],
      '/usr/bin/bwrap',
    ]);
    expect(command.slice(-3)).toEqual(['--', '/usr/bin/node', '/opt/mcp/node_modules/p/dist/index.js']);
  });

  it('keeps arguments as they are, whatever a shell would make of them', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
    const nasty = ['; rm -rf /', '$(id)', '--flag=a b', '', '${HOME}/x', '$HOME'];
    const command = commandOf({ type: { ...fixtureType, arguments: nasty } });
    expect(command.slice(-6)).toEqual(['; rm -rf /', '$(id)', '--flag=a b', '', '/home/mcp/x', '$HOME']);
  });

  it('appends what its owner said, with flags where the type has them', () => {
    const type = {
      ...fixtureType,
      arguments: ['fixed'],
      config_template: { arguments: [{ name: 'dir' }, { name: 'mode', flag: '--mode' }] },
      inputs: [
        { name: 'dir', is_required: false, is_secret: false },
        { name: 'mode', is_required: false, is_secret: false, default: 'fast' },
      ],
    };
    expect(commandOf({ type, config: { arguments: { dir: ['a', 'b'] } } }).slice(-5)).toEqual([
      ...['fixed', 'a', 'b', '--mode', 'fast'],
    ]);
  });

  it('never holds the key', () => {
    const type = { ...fixtureType, key_variable: 'KEY' };
    const spec = buildChildSpec({ ...input, type, apiKey: 'canary' });
    expect([spec.command, ...spec.args].join(' ')).not.toContain('canary');
    expect(spec.env.KEY).toBe('canary');
    expect(secretsOf({ apiKey: 'canary' })).toEqual(['canary']);
  });
});

describe('the environment', () => {
  it('cannot be used to change what the type or we say', () => {
    const type = { ...fixtureType, key_variable: 'KEY', environment: { FIXED: 'type' } };
    const { env } = buildChildSpec({
      ...input,
      type,
      apiKey: 'k',
      config: {
        environment: {
          HOME: '/etc',
          PATH: '/evil',
          NODE_OPTIONS: '--require x',
          KEY: 'other',
          MCP_INSTANCE_ID: 'x',
        },
      },
    });
    expect(env).toEqual({
      FIXED: 'type',
      KEY: 'k',
      MCP_INSTANCE_ID: input.instanceId,
      HOME: '/home/mcp',
      TMPDIR: '/tmp',
      PATH: '/usr/bin:/bin',
      LANG: 'C.UTF-8',
      NODE_OPTIONS: '--max-old-space-size=192',
    });
  });

  it('tells an HTTP server where to listen', () => {
    const { env, httpPort } = buildChildSpec({
      ...input,
      httpPort: 4321,
      type: { ...fixtureType, transport: 'streamable-http' },
    });
    expect([env.HOST, env.PORT, httpPort]).toEqual(['127.0.0.1', '4321', 4321]);
  });
});

describe('the sandbox', () => {
  const base = {
    tools: { bwrap: '/usr/bin/bwrap', disableUserns: true },
    node: '/n',
    sharedObjects: ['/lib/libc.so.6'],
    etc: '/e',
    packageDir: '/p',
    home: '/h',
    tmp: '/t',
    readOnlyPaths: ['/srv/data'],
  };
  const pairs = (argv: readonly string[], flag: string): string[] =>
    argv.flatMap((word, at) => (word === flag ? [`${argv[at + 1]} ${argv[at + 2]}`] : []));

  it('binds writable nothing but the home and the temporary directory', () => {
    for (const network of ['none', 'host'] as const) {
      const argv = sandboxArgv({ ...base, network });
      expect(pairs(argv, '--bind')).toEqual(['/h /home/mcp', '/t /tmp']);
      expect(argv.filter((word) => /^--(dev-)?bind(-try)?$/.test(word)).length).toBe(2);
      expect(argv).not.toContain('--setenv');
    }
  });

  it('takes the network away, and with it the names of others, unless it is open', () => {
    const closed = sandboxArgv({ ...base, network: 'none' });
    expect(closed).toContain('--unshare-net');
    expect(closed.join(' ')).not.toContain('/etc/resolv.conf');
    const open = sandboxArgv({ ...base, network: 'host' });
    expect(open).not.toContain('--unshare-net');
    expect(open).toContain('/etc/resolv.conf');
  });

  it('shows further places read-only', () => {
    expect(pairs(sandboxArgv({ ...base, network: 'none' }), '--ro-bind-try')).toContain(
      '/srv/data /srv/data',
    );
  });

  it('dies with the shim, in namespaces of its own', () => {
    const argv = sandboxArgv({ ...base, network: 'none' });
    for (const flag of [
      '--die-with-parent',
      '--unshare-pid',
      '--unshare-user',
      '--unshare-ipc',
      '--unshare-uts',
      '--disable-userns',
    ]) {
      expect(argv, flag).toContain(flag);
    }
  });
});
