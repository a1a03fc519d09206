// Starts a real shim for a test, as the supervisor would, with a specification that has sensible defaults, and leaves
// nothing of it behind: every process that carries the instance's id is killed and the directory removed.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../../src/base/clock.ts';
import { defaultRestartPolicy } from '../../src/domain/restart.ts';
import { bundleShim, shimNodeFlags } from '../../src/runtime/shim-bundle.ts';
import {
  type Bounds,
  bundleFiles,
  type ChildSpec,
  type ControlNews,
  type ControlReply,
  contractVersion,
  defaultBounds,
  type ExitRecord,
  type LaunchSpec,
  type ShimState,
  type SpoolLine,
} from '../../src/shim/contract.ts';

export interface ShimOptions {
  /** Default: `process.execPath`, a home of its own, stdio, legacy, 10 s to start. */
  readonly child: Partial<ChildSpec> & Pick<ChildSpec, 'args'>;
  readonly bounds?: Partial<Bounds>;
  /** Anything else of the specification. */
  readonly spec?: Partial<LaunchSpec>;
  /** Further flags of node for the shim itself. */
  readonly nodeFlags?: readonly string[];
  /** Default true: wait until the child is ready. Otherwise only until the control socket answers. */
  readonly ready?: boolean;
}

export interface ControlClient {
  readonly news: ControlNews[];
  readonly socket: Socket;
  /** Sends one request and resolves with its reply. */
  request(request: Record<string, unknown>): Promise<ControlReply>;
  /** Lines that are no replies to `request` (id 0, or malformed), as they came. */
  readonly other: ControlReply[];
  close(): void;
}

export interface RunningShim extends AsyncDisposable {
  /** http://127.0.0.1:PORT/mcp */
  readonly url: string;
  readonly port: number;
  /** The access token. */
  readonly token: string;
  readonly pid: number;
  readonly bundleDir: string;
  readonly spec: LaunchSpec;
  readonly process: ChildProcess;
  /** What the harness's own control connection was told. */
  readonly news: ControlNews[];
  /** A further connection that has said hello with this epoch (default 1). */
  control(epoch?: number): Promise<ControlClient>;
  state(): Promise<ShimState>;
  /** Asks for the end and resolves with its record. */
  stop(reason?: ExitRecord['reason'], times?: { drainMs: number; graceMs: number }): Promise<ExitRecord>;
  /** The record it left; rejects if it left none. */
  readonly exit: Promise<ExitRecord>;
  /** Exit code and signal of the shim itself. */
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  /** Lines in the spool now, in order. */
  log(): SpoolLine[];
  /** Resolves with the first line for which `test` holds, at most 10 s later. */
  logged(test: (line: SpoolLine) => boolean): Promise<SpoolLine>;
  /** Every process of the instance that lives, the shim not counted. */
  processes(): number[];
  kill9(): void;
  dispose(): Promise<void>;
}

let script: Promise<string> | undefined;

/** The text of the shim's one file, made once per process. */
function shimScript(): Promise<string> {
  script ??= bundleOnce();
  return script;
}

async function bundleOnce(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'minimcp-bundle-'));
  try {
    return readFileSync(await bundleShim(directory), 'utf8');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Resolves with what `look` returns once it is not undefined; rejects after `timeoutMs`. */
export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  what: string,
  timeoutMs = 30_000,
) {
  const signal = AbortSignal.timeout(timeoutMs);
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(10, signal).catch(() => {
      throw new Error(`waited ${timeoutMs} ms for ${what}`);
    });
  }
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts a shim and, unless `ready` is false, waits until its child is ready. */
export async function startShim(options: ShimOptions): Promise<RunningShim> {
  const text = await shimScript();
  const bundleDir = await mkdtemp(join(tmpdir(), 'minimcp-shim-'));
  const home = join(bundleDir, 'home');
  await mkdir(home);
  const file = join(bundleDir, 'shim.cjs');
  writeFileSync(file, text);
  const token = `mcp_${randomBytes(32).toString('base64url')}`;
  const port = options.spec?.listen?.port ?? (await freePort());
  const spec = specOf(options, { bundleDir, home, token, port });

  const crash = openSync(join(bundleDir, bundleFiles.crash), 'a');
  const shim = spawn(process.execPath, [...shimNodeFlags, ...(options.nodeFlags ?? []), file], {
    detached: true,
    stdio: ['pipe', 'ignore', crash],
    env: { PATH: process.env.PATH ?? '' },
  });
  closeSync(crash);
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    shim.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const exit = exited.then(() => readExit(bundleDir));
  exit.catch(() => {});
  shim.stdin?.on('error', () => {});
  shim.stdin?.end(JSON.stringify(spec));

  const connections: ControlClient[] = [];
  const control = async (epoch = 1): Promise<ControlClient> => {
    const client = await connectControl(bundleDir, exited);
    connections.push(client);
    await client.request({ method: 'hello', contract: contractVersion, epoch });
    return client;
  };
  const log = (): SpoolLine[] => readSpool(join(bundleDir, bundleFiles.spool));
  const processes = (): number[] => processesOf(spec.instanceId).filter((pid) => pid !== shim.pid);
  const dispose = async (): Promise<void> => {
    for (const client of connections) client.close();
    if (shim.exitCode === null && shim.signalCode === null) shim.kill('SIGKILL');
    await exited;
    for (const pid of processes()) killQuietly(pid);
    await until(() => processes().length === 0 || undefined, 'the end of every process of the instance');
    await rm(bundleDir, { recursive: true, force: true, maxRetries: 3 });
  };

  const news: ControlNews[] = [];
  let own: ControlClient | undefined;
  const running: RunningShim = {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    token,
    pid: shim.pid ?? 0,
    bundleDir,
    spec,
    process: shim,
    news,
    control,
    async state() {
      own ??= await control();
      const reply = await own.request({ method: 'state' });
      if ('error' in reply) throw new Error(reply.error.message);
      return reply.state;
    },
    async stop(reason = 'user', times = { drainMs: 1_000, graceMs: 1_000 }) {
      own ??= await control();
      await own.request({ method: 'stop', reason, ...times });
      return exit;
    },
    exit,
    exited,
    log,
    logged: (test) => until(() => log().find(test), 'a line of log'),
    processes,
    kill9: () => void shim.kill('SIGKILL'),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
  try {
    own = await control();
    own.news.push = (...items) => news.push(...items);
    if (options.ready !== false) {
      await until(
        async () => ((await running.state()).phase === 'running' ? true : undefined),
        'the child to be ready',
      );
    }
  } catch (error) {
    const crashed = readFileSync(join(bundleDir, bundleFiles.crash), 'utf8');
    const record = await readExit(bundleDir).catch(() => undefined);
    // A shim that ends before anyone could connect is what some tests want to see.
    if (options.ready === false && record) return running;
    const words = log().map((line) => `${line.source} ${line.level} ${line.msg}`);
    await dispose();
    const known = JSON.stringify({ record, crashed, words }, undefined, 2);
    throw new Error(`the shim did not start: ${known}`, { cause: error });
  }
  return running;
}

function specOf(
  options: ShimOptions,
  made: { bundleDir: string; home: string; token: string; port: number },
): LaunchSpec {
  const instanceId = options.spec?.instanceId ?? randomUUID();
  const { child } = options;
  return {
    contract: contractVersion,
    generation: 1,
    bundleDir: made.bundleDir,
    listen: { host: '127.0.0.1', port: made.port },
    hosts: [],
    origins: [],
    tokenSha256: createHash('sha256').update(made.token).digest('hex'),
    lease: { remainingMs: 600_000, expiresAt: '2099-01-01T00:00:00.000Z' },
    secrets: [],
    restart: defaultRestartPolicy,
    legacySse: false,
    drainMs: 1_000,
    graceMs: 1_000,
    ...options.spec,
    instanceId,
    bounds: { ...defaultBounds, ...options.bounds },
    child: {
      command: process.execPath,
      cwd: made.home,
      transport: 'stdio',
      era: 'legacy',
      startTimeoutMs: 10_000,
      ...child,
      env: { PATH: process.env.PATH ?? '', HOME: made.home, ...child.env, MCP_INSTANCE_ID: instanceId },
    },
  };
}

async function readExit(bundleDir: string): Promise<ExitRecord> {
  return JSON.parse(readFileSync(join(bundleDir, bundleFiles.exit), 'utf8')) as ExitRecord;
}

/** Connects as soon as the socket is there; gives up when the shim has ended. */
async function connectControl(bundleDir: string, exited: Promise<unknown>): Promise<ControlClient> {
  let isOver = false;
  void exited.then(() => {
    isOver = true;
  });
  const socket = await until(
    () =>
      new Promise<Socket | undefined>((resolve, reject) => {
        if (isOver) return reject(new Error('the shim has ended'));
        const candidate = connect(join(bundleDir, bundleFiles.controlSocket));
        candidate.once('connect', () => resolve(candidate)).once('error', () => resolve(undefined));
      }),
    'the control socket',
  );
  return controlClient(socket);
}

function controlClient(socket: Socket): ControlClient {
  const waiting = new Map<
    number,
    { resolve: (reply: ControlReply) => void; reject: (error: Error) => void }
  >();
  const news: ControlNews[] = [];
  const other: ControlReply[] = [];
  let lastId = 0;
  let held = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (held + chunk).split('\n');
    held = lines.pop() ?? '';
    for (const line of lines) {
      const message = JSON.parse(line) as ControlReply | ControlNews;
      if ('news' in message) news.push(message);
      else if (waiting.has(message.id)) waiting.get(message.id)?.resolve(message);
      else other.push(message);
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the control connection was closed'));
  });
  return {
    news,
    other,
    socket,
    request: (request) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        if (socket.destroyed) reject(new Error('the control connection is closed'));
        socket.write(`${JSON.stringify({ id, ...request })}\n`);
      }),
    close: () => socket.destroy(),
  };
}

function readSpool(directory: string): SpoolLine[] {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch {
    return [];
  }
  // The last piece is empty, or a line that is still being written.
  const texts = names.flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n').slice(0, -1));
  return texts.map((text) => JSON.parse(text) as SpoolLine);
}

/** Living processes whose environment carries the instance's id. */
function processesOf(instanceId: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/environ`, 'latin1').includes(`MCP_INSTANCE_ID=${instanceId}`)) {
        found.push(Number(name));
      }
    } catch {
      // Gone meanwhile, or not ours.
    }
  }
  return found;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone meanwhile.
  }
}
