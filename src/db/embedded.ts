// The embedded PostgreSQL: socket only, in the data directory, started detached and found again after a crash of the
// supervisor. It refuses to run as root and to touch a cluster it cannot prove to be its own. A failure here is the
// Fault config_invalid, which says what to do.
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicMs } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { embeddedName, ensureCluster } from './embedded-cluster.ts';
import { ensurePassage, ensurePrivateDir, findOwner, fitsSocket, openDataDir } from './embedded-owner.ts';
import {
  boundLog,
  clearStale,
  findPostmaster,
  lastWords,
  launch,
  type ServerPlan,
  stopPostmaster,
} from './embedded-postmaster.ts';
import { isUsed, untilReady } from './embedded-session.ts';
import { ensureStore } from './embedded-store.ts';

const logBytesMax = 8 * 1024 * 1024;
const logCheckMs = 10 * 60_000;
/** Between two looks whether the server lives. */
const lookMs = 1_000;

export interface EmbeddedOptions {
  /** The supervisor's data directory; the cluster goes into its `pg`, the binaries into its `store`. */
  readonly dataDir: string;
  readonly log: Logger;
  /** Server settings besides ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Users root may run it as, in this order. */
  readonly users?: readonly string[];
  /** Longest wait for a server that recovers from a crash, milliseconds. */
  readonly readyTimeoutMs?: number;
}

export interface Embedded {
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
  /** Whether it was already running. */
  readonly adopted: boolean;
  /**
   * Ends the server and waits for it, unless another process is connected: then it stays, being that one's too. Safe to
   * call twice. With `force` it ends whoever is connected.
   */
  stop(options?: { readonly force?: boolean }): Promise<void>;
  /** Lets go of the server and leaves it running. */
  release(): void;
}

/**
 * Starts the embedded database, or finds it running. Resolves when it answers. Until it is stopped or released, a server
 * that ends by itself, or by a foreign hand, is started again.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { log } = options;
  const plan = await prepare(options);
  const adopted = await bringUp(plan, log);
  const letGo = new AbortController();
  const keeping = keepUp(plan, log, letGo.signal);
  return {
    connection: { host: plan.socketDir, port: 5432, user: embeddedName, database: embeddedName },
    adopted,
    release: () => letGo.abort(),
    stop: async ({ force = false } = {}) => {
      letGo.abort();
      await keeping;
      if (!force && (await isUsed(plan))) {
        log.info({ data: plan.pgData }, 'the embedded database stays: another process is connected');
        return;
      }
      await stopPostmaster(plan);
    },
  };
}

/** Looks now and then whether the server lives, and that its log stays small. Never throws. */
async function keepUp(plan: ServerPlan, log: Logger, signal: AbortSignal): Promise<void> {
  let logCheckAtMs = monotonicMs() + logCheckMs;
  for (;;) {
    await pause(lookMs, signal);
    if (signal.aborted) return;
    try {
      if ((await findPostmaster(plan)) === undefined) {
        log.warn('the embedded database has ended; starting it again');
        await bringUp(plan, log);
      }
      if (monotonicMs() < logCheckAtMs) continue;
      logCheckAtMs = monotonicMs() + logCheckMs;
      await boundLog(plan.logFile, logBytesMax);
    } catch (error) {
      log.error({ reason: messageOf(error) }, 'the embedded database could not be started again');
    }
  }
}

/** Waits without keeping the process alive for it. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

async function prepare(options: EmbeddedOptions): Promise<ServerPlan> {
  const owner = await findOwner(options.users);
  const dataDir = await openDataDir(options.dataDir, owner);
  const store = await ensureStore(await ensurePassage(join(dataDir, 'store'), owner));
  const top = await ensurePassage(join(dataDir, 'pg'), owner);
  const home = join(top, 'cluster');
  await ensurePrivateDir(home, owner);
  let socketDir = join(top, 'run');
  if (!fitsSocket(socketDir)) {
    const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
    socketDir = join(tmpdir(), `minimcp-${hash}`);
  }
  await ensurePrivateDir(socketDir, owner);
  const plan = {
    ...{ store, owner, home, socketDir, pgData: join(home, 'data'), logFile: join(top, 'postgres.log') },
    settings: options.settings ?? {},
    readyTimeoutMs: options.readyTimeoutMs ?? 120_000,
  };
  await boundLog(plan.logFile, logBytesMax);
  if (await ensureCluster(plan)) options.log.info({ data: plan.pgData }, 'made the embedded database');
  return plan;
}

/** @returns whether it was running already */
async function bringUp(plan: ServerPlan, log: Logger): Promise<boolean> {
  let failure = '';
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const never = new Promise<string>(() => {});
    if ((await findPostmaster(plan)) !== undefined) {
      // Running but not to be reached, for one because a cleaner took its socket: it gets a short while, then anew.
      const silent = await untilReady(
        { ...plan, readyTimeoutMs: Math.min(plan.readyTimeoutMs, 15_000) },
        never,
      );
      if (silent === undefined) return true;
      log.warn({ reason: silent }, 'the embedded database runs but does not answer; starting it anew');
      await stopPostmaster(plan);
    }
    if (!(await clearStale(plan))) continue;
    const { ended } = await launch(plan);
    const end = await untilReady(plan, ended);
    if (end === undefined) return false;
    failure = end;
  }
  throw new Fault(
    'config_invalid',
    `the embedded database does not start: ${failure}\n${await lastWords(plan.logFile)}\nThe whole log: ${plan.logFile}`,
  );
}
