// Moves log lines from the spools on disk into mcp_logs, each exactly once however often it is killed: rows and offsets
// are one transaction, and only what is stored is deleted. Driven by pokes, with a slow sweep behind them. When the
// database is away it waits, and everything waits on disk.
import { monotonicMs, nowMs, sleep } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { Db, Fence } from '../db/pool.ts';
import { endedGenerations } from '../db/queries/log-offsets.ts';
import { newestLogId } from '../db/queries/logs.ts';
import type { PartitionStep } from '../db/queries/partitions.ts';
import { canShip } from '../db/queries/roles.ts';
import { type Batch, gather } from './batch.ts';
import { createIds, timeOf } from './ids.ts';
import { lineBytesMax } from './pieces.ts';
import { listGenerations, withSpoolDir } from './spool-dir.ts';
import { createSpools, type Spool } from './spools.ts';
import { type StoreOptions, storeBatch } from './store.ts';

export interface IngestOptions {
  readonly db: Db;
  readonly dataDir: string;
  readonly nodeId: string;
  readonly fence: () => Fence;
  readonly log: Logger;
  /** Whether every process of a generation is proven gone. Asked only about those the database knows to be over. */
  readonly isEnded: (instanceId: string, generation: number) => Promise<boolean>;
  /** Deletes the directory of a generation that is over and stored. Absent is success. */
  readonly removeGeneration: (instanceId: string, generation: number) => Promise<void>;
  readonly step?: PartitionStep;
  /** Between two looks at every spool, milliseconds. */
  readonly sweepMs?: number;
  /** How long lines gather before they are stored together, milliseconds. */
  readonly lingerMs?: number;
}

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
  /** Why nothing is being stored, or null. */
  readonly problem: string | null;
}

const retryMsMin = 100;
const retryMsMax = 5_000;
/** How long a spool that went quiet may wait for the question whether it is over. */
const endCheckMs = 2_000;

interface State {
  readonly news: Set<Spool>;
  /** Went quiet since the last question whether they are over. */
  readonly quiet: Set<Spool>;
  /** Over and read to the end: to be removed once that is stored. */
  readonly finished: Set<Spool>;
  inFlight: Promise<void>;
  stored: number;
  problem: string | null;
}

/** Makes the ingester. It starts without waiting for the database. */
export function createIngest(options: IngestOptions): Ingest {
  const spools = createSpools(options.nodeId);
  const state: State = {
    ...{ news: new Set(), quiet: new Set(), finished: new Set() },
    ...{ inFlight: Promise.resolve(), stored: 0, problem: null },
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
    lag: () => ({ spools: state.news.size, stored: state.stored, problem: state.problem }),
  };
}

interface Run {
  readonly options: IngestOptions;
  readonly spools: ReturnType<typeof createSpools>;
  readonly state: State;
  readonly waitForNews: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

async function run(context: Run): Promise<void> {
  const { options, spools, state, signal } = context;
  let retryMs = retryMsMin;
  let work: (() => Promise<void>) | undefined;
  while (!signal.aborted) {
    try {
      work ??= await prepare(context);
      await work();
      if (state.problem !== null) options.log.info('log lines are being stored again');
      state.problem = null;
      retryMs = retryMsMin;
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

/** Learns what the database says once, and returns one step of the loop. */
async function prepare({ options, spools, state, waitForNews, signal }: Run): Promise<() => Promise<void>> {
  const { db, dataDir, sweepMs = 30_000, lingerMs = 20 } = options;
  const newest = await newestLogId(db);
  const nextId = createIds(
    newest !== undefined && timeOf(newest) < nowMs() + 86_400_000 ? newest : undefined,
  );
  const scratch = Buffer.allocUnsafe(lineBytesMax);
  const store: StoreOptions = {
    ...{ db, fence: options.fence, step: options.step ?? 'month', asShipper: await canShip(db) },
  };
  let sweepAtMs = 0;
  let endCheckAtMs = 0;

  const sweep = async (): Promise<void> => {
    const there = await listGenerations(dataDir);
    const found = new Set<Spool>([spools.node]);
    for (const { instanceId, generation } of there) found.add(spools.generation(instanceId, generation));
    for (const spool of spools.all()) {
      if (found.has(spool)) state.news.add(spool);
      else if (!state.news.has(spool)) spools.forget(spool);
    }
  };

  const checkEndings = async (): Promise<void> => {
    const asked = [...state.quiet].filter((spool) => spool.of !== null && !spool.ended);
    state.quiet.clear();
    if (asked.length === 0) return;
    const over = await endedGenerations(
      db,
      asked.flatMap((spool) => spool.of ?? []),
    );
    for (const { instanceId, generation } of over) {
      if (!(await options.isEnded(instanceId, generation))) continue;
      const spool = spools.generation(instanceId, generation);
      spool.ended = true;
      // What was written up to the end is still to be read.
      state.news.add(spool);
    }
  };

  const settle = (batch: Batch): void => {
    state.stored += batch.lines;
    for (const [spool, move] of batch.moves) {
      spool.stored = move.to;
      if (move.to.segment === move.from.segment) continue;
      withSpoolDir(dataDir, spool.path, (dir) => {
        for (const segment of dir.segments()) if (segment < move.to.segment) dir.remove(segment);
      });
    }
  };

  /** Reads and encodes the next batch while PostgreSQL works on the one before. */
  const round = async (): Promise<void> => {
    const work = [...state.news];
    // Whatever is poked while this reads is news again.
    state.news.clear();
    await spools.locate(db, work);
    const { batch, dry } = await gather(work, { dataDir, nextId, nowMs: nowMs(), scratch });
    for (const spool of dry) (spool.ended ? state.finished : state.quiet).add(spool);
    // To the end of the line: a flood must not keep the others waiting.
    for (const spool of work) if (!dry.includes(spool)) state.news.add(spool);
    await state.inFlight;
    if (batch.moves.size > 0) {
      state.inFlight = storeBatch(batch, store).then(() => settle(batch));
      // Its failure is met where it is awaited.
      state.inFlight.catch(() => undefined);
    }
  };

  const removeFinished = async (): Promise<void> => {
    for (const spool of [...state.finished]) {
      state.finished.delete(spool);
      if (spool.of === null) continue;
      await options.removeGeneration(spool.of.instanceId, spool.of.generation);
      spools.forget(spool);
    }
  };

  return async () => {
    if (monotonicMs() >= sweepAtMs) {
      await sweep();
      sweepAtMs = monotonicMs() + sweepMs;
    }
    if (state.news.size > 0) {
      if (state.quiet.size === 0) endCheckAtMs = monotonicMs() + endCheckMs;
      await round();
      return;
    }
    await state.inFlight;
    await removeFinished();
    if (state.quiet.size > 0 && monotonicMs() >= endCheckAtMs) return checkEndings();
    const dueMs = Math.min(sweepAtMs, state.quiet.size > 0 ? endCheckAtMs : Number.POSITIVE_INFINITY);
    await waitForNews(Math.max(dueMs - monotonicMs(), 1), signal);
    if (state.news.size > 0) await sleep(lingerMs, signal).catch(() => undefined);
  };
}
