// A real local driver in a data directory of its own, with the fixture server as the one package, and instances of it
// that can be called. Leaves nothing behind: no process, no file, no cgroup.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IsolationLevel } from '../../src/domain/instance.ts';
import type { ServerType } from '../../src/domain/server-type.ts';
import type { Driver, Handle, Limits, News, StartSpec } from '../../src/runtime/driver.ts';
import { createLocalDriver } from '../../src/runtime/local.ts';
import { bundleShim, shimNodeFlags } from '../../src/runtime/shim-bundle.ts';
import { openStore } from '../../src/runtime/store.ts';
import { silentLog } from './cluster.ts';
import { root } from './source.ts';
import { shareNode } from './store.ts';

export interface TestDriver {
  readonly dataDir: string;
  readonly driver: Driver;
  readonly news: readonly News[];
  /** A second driver on the same data, as after a restart of the supervisor. */
  reopen(epoch: number): Promise<Driver>;
  spec(fields?: Partial<StartSpec>): Promise<StartSpec>;
  /** Starts an instance and waits until its server has answered. */
  run(fields?: Partial<StartSpec>): Promise<TestInstance>;
  /** Resolves once the driver has said this about a generation. */
  heard(handle: Handle, kind: News['kind']): Promise<News>;
  dispose(): Promise<void>;
}

export interface TestInstance {
  readonly handle: Handle;
  readonly spec: StartSpec;
  readonly token: string;
  /** Has the server do something. @returns its value, or `{ error }` */
  deed(deed: string, fields?: Record<string, unknown>): Promise<{ value?: unknown; error?: string }>;
}

export const mebibyte = 1024 * 1024;
export const limits: Limits = {
  memoryBytesMax: 256 * mebibyte,
  cpuPercentMax: 100,
  processesMax: 64,
  openFilesMax: 1_024,
  diskBytesMax: 256 * mebibyte,
};

export const fixtureType: ServerType = {
  id: '00000000-0000-4000-8000-000000000000',
  name: 'fixture',
  display_name: 'Fixture',
  description: null,
  icon_url: null,
  server_script: 'server.mjs',
  config_template: {},
  required_scopes: [],
  resource_limits: {},
  max_duration_minutes: 60,
  is_active: true,
  origin: 'shipped',
  registry_name: null,
  package_name: 'fixture',
  package_version: '1.0.0',
  transport: 'stdio',
  arguments: [],
  environment: {},
  inputs: [],
  key_variable: null,
  era: 'legacy',
  egress: 'none',
  egress_hosts: [],
  read_only_paths: [],
  idle_minutes: null,
  restart_policy: {},
  start_timeout_seconds: 20,
  legacy_sse: false,
  source: null,
  integrity: null,
  license: null,
  trial: null,
  created_at: new Date(0),
  updated_at: new Date(0),
};

/** A port nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1' }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

export async function openTestDriver(
  options: { isolationMax?: IsolationLevel; dataDir?: string } = {},
): Promise<TestDriver> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'minimcp-driver-')));
  await chmod(dataDir, 0o711);
  if (options.dataDir === undefined) await shareNode(dataDir);
  const fixtures = join(await openStore(dataDir), 'fixtures');
  await mkdir(fixtures, { recursive: true });
  await cp(join(root, 'test', 'fixtures', 'programs'), fixtures, { recursive: true });
  const open = async (epoch: number): Promise<Driver> =>
    createLocalDriver({
      dataDir,
      packages: { resolve: async (type) => ({ dir: fixtures, script: type.server_script }) },
      shimFile: await bundleShim(join(await openStore(dataDir), 'shims')),
      shimNodeFlags,
      instanceHost: '127.0.0.1',
      origins: [],
      epoch: () => epoch,
      log: silentLog,
      isolationMax: options.isolationMax,
    });
  const drivers = [await open(1)];
  const driver = drivers[0] as Driver;
  const news: News[] = [];
  const waiting = new Set<(news: News) => void>();
  const over = new AbortController();
  driver.watch((one) => {
    news.push(one);
    for (const look of [...waiting]) look(one);
  }, over.signal);

  const heard = (handle: Handle, match: (one: News) => boolean): Promise<News> => {
    const isIt = (one: News): boolean =>
      one.instanceId === handle.instanceId && one.generation === handle.generation && match(one);
    const known = news.find(isIt);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      const look = (one: News): void => {
        if (!isIt(one)) return;
        waiting.delete(look);
        resolve(one);
      };
      waiting.add(look);
    });
  };

  const token = `mcp_${randomBytes(8).toString('hex')}`;
  const spec = async (fields: Partial<StartSpec> = {}): Promise<StartSpec> => ({
    instanceId: randomUUID(),
    generation: 1,
    port: await freePort(),
    tokenSha256: createHash('sha256').update(token).digest('hex'),
    remainingMs: 120_000,
    expiresAt: new Date(Date.now() + 120_000),
    drainMs: 0,
    type: fixtureType,
    config: {},
    apiKey: null,
    limits,
    minIsolation: 'L0',
    publicHosts: [],
    ...fields,
  });

  return {
    dataDir,
    driver,
    news,
    spec,
    heard: (handle, kind) => heard(handle, (one) => one.kind === kind),
    async reopen(epoch) {
      const other = await open(epoch);
      drivers.push(other);
      return other;
    },
    async run(fields) {
      const wanted = await spec(fields);
      const handle = await driver.start(wanted);
      const first = await heard(handle, (one) => one.kind === 'ended' || one.shim?.phase === 'running');
      if (first.kind === 'ended') {
        throw new Error(`it ended before it was ready: ${JSON.stringify(await driver.inspect(handle))}`);
      }
      return {
        handle,
        spec: wanted,
        token,
        deed: (deed, more) => call(wanted.port, token, { deed, ...more }),
      };
    },
    async dispose() {
      over.abort();
      const last = drivers.at(-1) ?? driver;
      for (const handle of await last.list()) {
        await last.stop(handle, { reason: 'user', drainMs: 0, graceMs: 0 });
      }
      for (const one of drivers) await one.close();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

let lastId = 0;

async function call(
  port: number,
  token: string,
  fields: Record<string, unknown>,
): Promise<{ value?: unknown; error?: string }> {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const post = (body: unknown, more: Record<string, string> = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/mcp`, {
      method: 'POST',
      headers: { ...headers, ...more },
      body: JSON.stringify(body),
    });
  lastId += 1;
  const clientInfo = { name: 'test', version: '1' };
  const opened = await post({
    ...{ jsonrpc: '2.0', id: lastId, method: 'initialize' },
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo },
  });
  const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
  await opened.text();
  lastId += 1;
  const params = { name: 'do', arguments: fields };
  const answer = await post({ jsonrpc: '2.0', id: lastId, method: 'tools/call', params }, session);
  const text = await answer.text();
  const line = text.startsWith('{') ? text : (/^data: (\{.*\})$/m.exec(text)?.[1] ?? text);
  const reply = JSON.parse(line) as { result?: { content: { text: string }[] }; error?: { message: string } };
  await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'DELETE', headers: { ...headers, ...session } });
  if (reply.result === undefined) return { error: reply.error?.message ?? text };
  return JSON.parse(reply.result.content[0]?.text ?? '{}') as { value?: unknown; error?: string };
}
