// A real supervisor for a bench: the daemon as it is shipped, on a data directory of its own with its own embedded
// PostgreSQL (or on DATABASE_URL, if that is set), with room for as many instances as are asked for. It ends with
// everything it started, also when the bench fails half way.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { monotonicMs, sleep } from '../../src/base/clock.ts';
import { bundleFiles } from '../../src/shim/contract.ts';
import { commandOf, residents } from './processes.ts';
import { progress } from './report.ts';

export interface Instance {
  readonly id: string;
  readonly status: string;
  readonly assigned_port: number | null;
  readonly access_token: string;
}

export interface Supervisor extends AsyncDisposable {
  readonly dataDir: string;
  pid(): number;
  /** The processes of its PostgreSQL; none when it is not the embedded one. */
  databasePids(): number[];
  /** One call of the API as the admin. */
  call<Data>(method: string, path: string, body?: unknown): Promise<{ status: number; data: Data }>;
  /** POST /instances, answered when it is running. */
  create(type: string): Promise<Instance>;
  /** So many, all running. */
  createMany(type: string, count: number): Promise<Instance[]>;
  /** The shim of an instance. */
  shimOf(instance: Instance): number;
  /** Removes an instance and waits until it is gone. */
  remove(id: string): Promise<void>;
  kill9(): Promise<void>;
  /** Starts it again on the same data. @returns milliseconds from spawn to `ready` */
  start(): Promise<number>;
}

const readyMsMax = 60_000;
/** Requests of `createMany` at a time; the supervisor lets in fewer. */
const createdAtOnce = 8;
const endMsMax = 60_000;
const bin = fileURLToPath(new URL('../../bin/minimcp.js', import.meta.url));

/** Starts a supervisor in `scratch` with a pool of so many ports, `offset` ports above where the first one begins. */
export async function startSupervisor(
  scratch: string,
  instancesMax: number,
  offset = 0,
): Promise<Supervisor> {
  // Instances of root run as users of their own, who must be able to pass.
  await chmod(scratch, 0o711);
  const dataDir = join(scratch, 'data');
  await mkdir(dataDir);
  await chmod(dataDir, 0o711);
  const from = 10_000 + ((process.pid * 13) % 1_000) * 16 + offset;
  const adminToken = 'bench-admin-token-0123456789abcdef';
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: scratch,
    LANG: 'C.UTF-8',
    ...(process.env.DATABASE_URL === undefined ? {} : { DATABASE_URL: process.env.DATABASE_URL }),
    MINIMCP_DATA_DIR: dataDir,
    MINIMCP_PORT: '0',
    MINIMCP_PORT_RANGE: `${from}-${from + instancesMax * 2}`,
    MINIMCP_NODE_ID: 'bench',
    MINIMCP_ADMIN_TOKEN: adminToken,
  };
  const output: string[] = [];
  let process_: ChildProcess | undefined;
  let url = '';

  const start = async (): Promise<number> => {
    const startMs = monotonicMs();
    process_ = spawn(process.execPath, [bin, 'up'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    url = await untilReady(process_, output);
    return monotonicMs() - startMs;
  };
  const call = async <Data>(method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${adminToken}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'POST' ? { prefer: 'wait=60' } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = text === '' ? {} : JSON.parse(text);
    if (!response.ok && response.status !== 404)
      throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
    return { status: response.status, data: answer.data as Data };
  };
  const end = async (): Promise<void> => {
    if (isAlive(process_)) {
      const gone = once(process_, 'exit');
      await call('POST', '/drain', { end_instances: true }).catch((error) => progress(String(error)));
      const waiting = new AbortController();
      await Promise.race([gone, sleep(endMsMax, waiting.signal).catch(() => {})]);
      waiting.abort();
      if (isAlive(process_)) {
        progress(
          `the supervisor did not end in ${endMsMax} ms after its drain:\n${output.slice(-5).join('\n')}`,
        );
        process_.kill('SIGKILL');
        await gone;
      }
    }
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      for (let tries = 0; tries < 50 && residents(dataDir).length > 0; tries += 1) {
        if (tries === 0) for (const pid of residents(dataDir)) kill(pid, signal);
        await sleep(100);
      }
    }
  };
  try {
    await start();
    await call('PUT', '/settings/mcp.max_instances_per_user', { value: 100_000 });
  } catch (error) {
    await end();
    throw error;
  }
  const create = async (type: string): Promise<Instance> => {
    const { data } = await call<Instance>('POST', '/instances', { mcp_type: type, duration_minutes: 60 });
    if (data.status !== 'running') throw new Error(`an instance is ${JSON.stringify(data)}, not running`);
    return data;
  };
  return {
    dataDir,
    pid: () => process_?.pid ?? -1,
    databasePids: () => residents(dataDir).filter((pid) => commandOf(pid).includes('postgres')),
    call,
    create,
    async createMany(type, count) {
      const made: Instance[] = [];
      const creator = async (): Promise<void> => {
        while (begun < count) {
          begun += 1;
          made.push(await create(type));
        }
      };
      let begun = 0;
      await Promise.all(Array.from({ length: createdAtOnce }, creator));
      return made;
    },
    shimOf({ id }) {
      const record = readFileSync(join(dataDir, 'instances', id, '1', bundleFiles.identity), 'utf8');
      return (JSON.parse(record) as { pid: number }).pid;
    },
    async remove(id) {
      while ((await call('DELETE', `/instances/${id}`)).status === 202) await sleep(20);
    },
    async kill9() {
      if (!isAlive(process_)) return;
      const gone = once(process_, 'exit');
      process_.kill('SIGKILL');
      await gone;
    },
    start,
    [Symbol.asyncDispose]: end,
  };
}

function isAlive(process_: ChildProcess | undefined): process_ is ChildProcess {
  return process_ !== undefined && process_.exitCode === null && process_.signalCode === null;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile.
  }
}

/** The URL of its ready line; rejects with its last words when it ends before, or says nothing for too long. */
function untilReady(process_: ChildProcess, output: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (how: string): void =>
      reject(new Error(`the supervisor ${how}:\n${output.slice(-30).join('\n')}`));
    const timer = setTimeout(() => fail('was not ready in time'), readyMsMax);
    for (const stream of [process_.stdout, process_.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        output.push(line);
        if (output.length > 200) output.shift();
        if (!line.includes('"msg":"ready"')) return;
        clearTimeout(timer);
        resolve((JSON.parse(line) as { url: string }).url);
      });
    }
    process_.once('exit', (code, signal) => {
      clearTimeout(timer);
      fail(`ended (${code ?? signal}) before it was ready`);
    });
  });
}
