// The bridges that are compared, all in front of the same server: ours as the supervisor launches it, the least one
// possible with Node as it is and with Node tuned as for ours, the server's own HTTP, and the peers.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultRestartPolicy } from '../../src/domain/restart.ts';
import { bundleShim, shimNodeFlags } from '../../src/runtime/shim-bundle.ts';
import { contractVersion, defaultBounds, type LaunchSpec } from '../../src/shim/contract.ts';
import type { Target } from './mcp-session.ts';
import { freePort, installPeer } from './scratch.ts';
import { type Subject, startBridge } from './subject.ts';

export const peerVersions = { supergateway: '4.0.0', 'mcp-proxy': '6.7.19', 'mcp-hub': '4.2.1' };

/** What the bridges start: `server-everything` over stdio. */
const serverPackage = '@modelcontextprotocol/server-everything';
const require = createRequire(import.meta.url);
export const serverScript = join(require.resolve(`${serverPackage}/package.json`), '..', 'dist', 'index.js');
export const serverVersion: string = require(`${serverPackage}/package.json`).version;

const node = process.execPath;
const token = 'mcp_bench-token-of-the-bridge-bench-0123456789a';

function targetAt(port: number, more: Partial<Target> = {}): Target {
  return { host: '127.0.0.1', port, path: '/mcp', transport: 'http', tool: 'echo', headers: {}, ...more };
}

/** The environment every bridge gets. */
function environment(home: string): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8' };
}

/** Ours: the bundled shim, told everything on its standard input, as src/runtime does it; or another build of it. */
export function minimcp(scratch: string, bundle?: string): Subject {
  return {
    name: bundle === undefined ? 'MiniMCP' : `bundle ${basename(bundle)}`,
    async start() {
      const script = bundle === undefined ? await bundleShim(join(scratch, 'lib')) : resolve(bundle);
      const bundleDir = await mkdtemp(join(scratch, 'shim-'));
      const port = await freePort();
      const input = JSON.stringify(launchSpec(bundleDir, port));
      const headers = { Authorization: `Bearer ${token}` };
      const args = [...shimNodeFlags, script];
      return startBridge({
        command: node,
        args,
        env: environment(scratch),
        input,
        target: targetAt(port, { headers }),
      });
    },
  };
}

function launchSpec(bundleDir: string, port: number): LaunchSpec {
  return {
    contract: contractVersion,
    instanceId: randomUUID(),
    generation: 1,
    bundleDir,
    listen: { host: '127.0.0.1', port },
    hosts: [],
    origins: [],
    tokenSha256: createHash('sha256').update(token).digest('hex'),
    lease: { remainingMs: 24 * 3_600_000, expiresAt: '2099-01-01T00:00:00.000Z' },
    child: {
      command: node,
      args: [serverScript],
      cwd: bundleDir,
      env: environment(bundleDir),
      transport: 'stdio',
      startTimeoutMs: 30_000,
      era: 'legacy',
    },
    secrets: [],
    restart: defaultRestartPolicy,
    bounds: defaultBounds,
    legacySse: false,
    drainMs: 1_000,
    graceMs: 1_000,
  };
}

/** What keeps a small program in Node small. Ours sets half of it itself, once it is loaded. */
const tunedFlags = [
  '--max-old-space-size=64',
  '--max-semi-space-size=1',
  '--single-threaded',
  '--v8-pool-size=0',
  '--no-sparkplug',
  '--no-maglev',
];

/** The floor, with Node as it is or tuned as for ours. */
export function leastShim(scratch: string, tuned: boolean): Subject {
  const script = fileURLToPath(new URL('./least-shim.cjs', import.meta.url));
  return {
    name: tuned ? 'least, tuned' : 'least, plain',
    async start() {
      const port = await freePort();
      const args = [...(tuned ? tunedFlags : []), script, String(port), node, serverScript];
      return startBridge({ command: node, args, env: environment(scratch), target: targetAt(port) });
    },
  };
}

/** The server's own Streamable HTTP: no bridge at all. */
export function ownHttp(scratch: string): Subject {
  return {
    name: 'own HTTP',
    async start() {
      const port = await freePort();
      const env = { ...environment(scratch), PORT: String(port) };
      const args = [serverScript, 'streamableHttp'];
      // It listens on every address, and its own answer to "localhost" is the first of them.
      return startBridge({ command: node, args, env, target: targetAt(port) });
    },
  };
}

/** supergateway, Streamable HTTP with sessions: a child for each. */
export async function supergateway(scratch: string): Promise<Subject> {
  const place = await installPeer('supergateway', peerVersions.supergateway);
  return {
    name: 'supergateway',
    async start() {
      const port = await freePort();
      const options = ['--outputTransport', 'streamableHttp', '--stateful', '--port', String(port)];
      const stdio = `${node} ${serverScript}`;
      const args = [join(place, 'dist/index.js'), '--stdio', stdio, ...options, '--logLevel', 'none'];
      return startBridge({ command: node, args, env: environment(scratch), target: targetAt(port) });
    },
  };
}

export async function mcpProxy(scratch: string): Promise<Subject> {
  const place = await installPeer('mcp-proxy', peerVersions['mcp-proxy']);
  return {
    name: 'mcp-proxy',
    async start() {
      const port = await freePort();
      const options = ['--host', '127.0.0.1', '--port', String(port), '--server', 'stream'];
      const args = [join(place, 'dist/bin/mcp-proxy.mjs'), ...options, '--', node, serverScript];
      return startBridge({ command: node, args, env: environment(scratch), target: targetAt(port) });
    },
  };
}

/** mcp-hub speaks only HTTP+SSE to its clients. */
export async function mcpHub(scratch: string): Promise<Subject> {
  const place = await installPeer('mcp-hub', peerVersions['mcp-hub']);
  return {
    name: 'mcp-hub (SSE)',
    async start() {
      const port = await freePort();
      const home = await mkdtemp(join(scratch, 'hub-'));
      await mkdir(home, { recursive: true });
      const config = join(home, 'config.json');
      const servers = { everything: { command: node, args: [serverScript] } };
      await writeFile(config, JSON.stringify({ mcpServers: servers }));
      const args = [join(place, 'dist/cli.js'), '--port', String(port), '--config', config];
      const target = targetAt(port, { transport: 'sse', tool: 'everything__echo' });
      return startBridge({ command: node, args, env: environment(home), target });
    },
  };
}
