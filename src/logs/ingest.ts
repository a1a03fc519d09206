// Moves log lines from the spools on disk into mcp_logs, each exactly once however often it is killed: rows and offsets
// are one transaction, and only what is stored is deleted. Driven by pokes, with a slow sweep behind them. When the
// database is away it waits, and everything waits on disk.
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Service } from '../base/service.ts';
import { beginWork, type IngestOptions, type IngestState, step, type Work } from './ingest-work.ts';
import { createSpools, type Spool, type Spools } from './spools.ts';

export interface Ingest extends Service {
  /** There may be new lines of this generation. */
  poke(instanceId: string, generation: number): void;
  /** There may be new words of the supervisor itself. */
  pokeNode(): void;
  lag(): IngestLag;
}

export interface IngestLag {
  /** Spools with lines that are not stored yet. */
  readonly spools: number;
  /** Lines stored by this process. */
  readonly stored: number;
  /** Bytes of spool stored by this process. */
  readonly storedBytes: number;
  /** Lines that their writers, or the database, could not keep; markers stand for them. */
  readonly dropped: number;
  /** How far the stored lines are behind, milliseconds: 0 when nothing waits. */
  readonly lagMs: number;
  /** Why nothing is being stored, or null. */
  readonly problem: string | null;
}

const retryMsMin = 100;
const retryMsMax = 5_000;

/** Makes the ingester. It starts without waiting for the database. */
export function createIngest(options: IngestOptions): Ingest {
  const spools = createSpools(options.nodeId);
  const state: IngestState = {
    ...{ news: new Set(), quiet: new Set(), finished: new Set() },
    ...{ inFlight: Promise.resolve(), busy: false, stored: 0, storedBytes: 0, dropped: 0 },
    ...{ lagMs: 0, caughtUpAtMs: monotonicMs(), problem: null },
  };
  let stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let wake = (): void => {};
  const poke = (spool: Spool): void => {
    state.news.add(spool);
    wake();
  };
  const waitForNews = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      wake = done;
      if (state.news.size > 0 || signal.aborted) done();
    });

  return {
    name: 'log ingest',
    start() {
      stopping = new AbortController();
      running = run({ options, spools, state, waitForNews, signal: stopping.signal });
      return Promise.resolve();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    poke: (instanceId, generation) => poke(spools.generation(instanceId, generation)),
    pokeNode: () => poke(spools.node),
    lag: () => ({
      ...{
        spools: state.news.size,
        stored: state.stored,
        storedBytes: state.storedBytes,
        dropped: state.dropped,
      },
      lagMs: lagOf(state),
      problem: state.problem,
    }),
  };
}

/** With something that waits and nothing that is stored, the lag grows with the time. */
function lagOf({ news, busy, lagMs, caughtUpAtMs, problem }: IngestState): number {
  if (news.size === 0 && !busy && problem === null) return 0;
  return lagMs + (monotonicMs() - caughtUpAtMs);
}

interface Run {
  readonly options: IngestOptions;
  readonly spools: Spools;
  readonly state: IngestState;
  readonly waitForNews: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

async function run(context: Run): Promise<void> {
  const { options, spools, state, signal } = context;
  let retryMs = retryMsMin;
  let work: Work | undefined;
  while (!signal.aborted) {
    try {
      work ??= await beginWork(options, spools, state);
      const waitMs = await step(work);
      if (state.problem !== null) options.log.info('log lines are being stored again');
      state.problem = null;
      retryMs = retryMsMin;
      if (waitMs > 0) await context.waitForNews(waitMs, signal);
      // Lines that come together are stored together.
      if (waitMs > 0 && state.news.size > 0) await sleep(work.lingerMs, signal).catch(() => undefined);
    } catch (error) {
      await state.inFlight.catch(() => undefined);
      state.inFlight = Promise.resolve();
      // Whether the last transaction was committed is unknown: the database is asked again.
      spools.doubt();
      for (const spool of spools.all()) state.news.add(spool);
      if (state.problem === null) {
        options.log.warn({ reason: messageOf(error) }, 'log lines wait on disk; storing is tried again');
      }
      state.problem = messageOf(error);
      if (error instanceof Fault && error.code === 'node_fenced') break;
      await sleep(retryMs, signal).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, retryMsMax);
    }
  }
  await state.inFlight.catch(() => undefined);
}
