// Runs a real supervisor on a data directory and a database of its own, and leaves nothing behind: no process, no
// file, no port. Its output is kept, so that a test that fails can show it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { InstanceView, InstanceWithToken } from '../../src/api/contract.ts';
import { type TestDatabase, testDatabase } from './database.ts';
import { openPgProxy, type PgProxy } from './pg-proxy.ts';
import { root } from './source.ts';
import { shareStore } from './store.ts';

export interface Answer<Data> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly data: Data;
    readonly code?: string;
    readonly detail?: string;
    readonly errors?: { pointer: string }[];
  };
}

export interface DaemonOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Ports in the pool; default 12. */
  readonly ports?: number;
  /** Instead of a database made for this daemon. */
  readonly databaseUrl?: string;
  /** A database somebody else made, and disposes of. */
  readonly database?: TestDatabase;
  /** Puts a proxy between the supervisor and its database. */
  readonly proxied?: boolean;
}

export interface Daemon {
  readonly dataDir: string;
  readonly database: TestDatabase;
  /** With `proxied`: what stands between the supervisor and its database. */
  readonly proxy: PgProxy | undefined;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly adminToken: string;
  readonly output: readonly string[];
  url(): string;
  pid(): number;
  /** One call of the API as the admin, or with another token. */
  call<Data = unknown>(
    method: string,
    path: string,
    body?: unknown,
    token?: string | null,
  ): Promise<Answer<Data>>;
  /** Creates an instance and waits until it is running or has failed. */
  create(body: Record<string, unknown>, token?: string): Promise<InstanceWithToken>;
  get(id: string): Promise<InstanceView>;
  /** Polls the row until it has this status; fails with the row after 40 s. */
  until(id: string, status: string): Promise<InstanceView>;
  /** A user with a token of their own. */
  user(name: string, fields?: Record<string, unknown>): Promise<{ id: string; token: string }>;
  kill9(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
  /** Starts the supervisor again on the same data and database. */
  start(env?: Readonly<Record<string, string>>): Promise<void>;
  dispose(): Promise<void>;
}

let started = 0;

/** A range no other test of this run uses: below the kernel's ephemeral ports, apart per process. */
function nextRange(count: number): { from: number; to: number } {
  const from = 10_000 + ((process.pid * 7) % 500) * 40 + (started++ % 2) * 20;
  return { from, to: from + count - 1 };
}

export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const dataDir = await mkdtemp(join(tmpdir(), 'minimcp-test-'));
  // Root's instances run as users of their own, who must be able to pass.
  if (process.getuid?.() === 0) await chmod(dataDir, 0o711);
  await shareStore(dataDir);
  const database = options.database ?? (await testDatabase());
  const proxy = options.proxied === true ? await openPgProxy(database.connection) : undefined;
  const portRange = nextRange(options.ports ?? 12);
  const output: string[] = [];
  let process_: ChildProcess | undefined;
  let url = '';
  let adminToken = '';

  const start = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
    // With the umask of a hardened machine, which must make no difference.
    const command = ['umask 077; exec "$0" "$@"', process.execPath, join(root, 'bin', 'minimcp.js'), 'up'];
    const child = spawn('/bin/sh', ['-c', ...command], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: dataDir,
        MINIMCP_DATA_DIR: dataDir,
        DATABASE_URL: options.databaseUrl ?? proxy?.url ?? database.url,
        MINIMCP_PORT: '0',
        MINIMCP_PORT_RANGE: `${portRange.from}-${portRange.to}`,
        MINIMCP_NODE_ID: 'test',
        ...options.env,
        ...env,
      },
    });
    const ready = untilReady(child, output);
    // A second one that is refused must not take the place of the first.
    if (process_ === undefined || process_.exitCode !== null || process_.signalCode !== null)
      process_ = child;
    url = await ready;
    adminToken = (await readFile(join(dataDir, 'admin-token'), 'utf8')).trim();
  };

  const gone = async (signal: NodeJS.Signals): Promise<number | null> => {
    const child = process_;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code] = await exited;
    return code as number | null;
  };

  const call = async <Data>(
    method: string,
    path: string,
    body?: unknown,
    token: string | null = adminToken,
  ): Promise<Answer<Data>> => {
    const response = await fetch(
      `${url}${/^\/(api\/|healthz|readyz|metrics)/.test(path) ? path : `/api/v1${path}`}`,
      {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(method === 'POST' ? { prefer: 'wait=25' } : {}),
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
    );
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : { data: text };
    return { status: response.status, headers: response.headers, body: json };
  };

  const get = async (id: string): Promise<InstanceView> =>
    (await call<InstanceView>('GET', `/instances/${id}`)).body.data;

  await start();
  return {
    dataDir,
    database,
    proxy,
    portRange,
    output,
    call,
    get,
    start,
    get adminToken() {
      return adminToken;
    },
    url: () => url,
    pid: () => process_?.pid ?? -1,
    async create(body, token) {
      const answer = await call<InstanceWithToken>('POST', '/instances', body, token);
      if (answer.status !== 201)
        throw new Error(`create answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      return answer.body.data;
    },
    async until(id, status) {
      for (let tries = 0; ; tries += 1) {
        const instance = await get(id);
        if (instance?.status === status) return instance;
        if (tries > 400)
          throw new Error(
            `not ${status} after 40 s: ${JSON.stringify(instance)}\n${output.slice(-20).join('\n')}`,
          );
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    async user(name, fields = {}) {
      const user = await call<{ id: string }>('POST', '/users', {
        email: `${name}@example.test`,
        name,
        ...fields,
      });
      const token = await call<{ api_token: string }>('POST', '/tokens', {
        name,
        user_id: user.body.data.id,
      });
      return { id: user.body.data.id, token: token.body.data.api_token };
    },
    kill9: async () => void (await gone('SIGKILL')),
    terminate: () => gone('SIGTERM'),
    async dispose() {
      const child = process_;
      const alive = child !== undefined && child.exitCode === null && child.signalCode === null;
      if (!alive) await start();
      const exited = process_ === undefined ? undefined : once(process_, 'exit');
      await call('POST', '/drain', { end_instances: true }).catch((error: Error) => {
        throw new Error(`the supervisor took no drain:\n${output.slice(-20).join('\n')}`, { cause: error });
      });
      await exited;
      await proxy?.close();
      if (options.database === undefined) await database.dispose();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function untilReady(child: ChildProcess, output: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const take = (line: string): void => {
      output.push(line);
      const ready = /"msg":"ready"/.test(line) ? (JSON.parse(line) as { url?: string }).url : undefined;
      if (ready !== undefined) resolve(ready);
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', take);
    }
    child.once('exit', (code, signal) =>
      reject(
        new Error(
          `the supervisor ended (${code ?? signal}) before it was ready:\n${output.slice(-30).join('\n')}`,
        ),
      ),
    );
  });
}
