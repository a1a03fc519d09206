// One step of the ingester's loop: look for spools, store what is next in them, ask which are over, take those away.
// What fails is thrown; the loop waits and begins again from what the database says.
import { monotonicMs, nowMs, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Db, Fence } from '../db/pool.ts';
import { endedGenerations } from '../db/queries/log-offsets.ts';
import { newestLogId } from '../db/queries/logs.ts';
import type { PartitionStep } from '../db/queries/partitions.ts';
import { canShip } from '../db/queries/roles.ts';
import { type Batch, emptyBatch, gather, isFull } from './batch.ts';
import { createIds, timeOf } from './ids.ts';
import { lineBytesMax } from './pieces.ts';
import { listGenerations, withSpoolDir } from './spool-dir.ts';
import type { Spool, Spools } from './spools.ts';
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

export interface IngestState {
  /** Spools with something that is not read yet, longest waiting first. */
  readonly news: Set<Spool>;
  /** Went quiet since the last question whether they are over. */
  readonly quiet: Set<Spool>;
  /** Over and read to the end: to be removed once that is stored. */
  readonly finished: Set<Spool>;
  /** The batch that PostgreSQL works on. */
  inFlight: Promise<void>;
  /** Whether there is one. */
  busy: boolean;
  stored: number;
  storedBytes: number;
  dropped: number;
  /** How old the oldest line of the last batch was when it was stored, milliseconds. */
  lagMs: number;
  /** When a batch was last stored, or there was nothing to store; monotonic milliseconds. */
  caughtUpAtMs: number;
  problem: string | null;
}

export interface Work {
  readonly options: IngestOptions;
  readonly spools: Spools;
  readonly state: IngestState;
  readonly store: StoreOptions;
  readonly nextId: () => string;
  readonly scratch: Buffer;
  readonly sweepMs: number;
  readonly lingerMs: number;
  sweepAtMs: number;
  endCheckAtMs: number;
}

/** How long a spool that went quiet may wait for the question whether it is over. */
const endCheckMs = 2_000;
/** Between two looks for more while a batch is on its way. */
const breatherMs = 10;
const dayMs = 86_400_000;

/** Learns from the database what has to be known once. */
export async function beginWork(options: IngestOptions, spools: Spools, state: IngestState): Promise<Work> {
  const { db, fence, step: partitionStep = 'month' } = options;
  const newest = await newestLogId(db);
  // An id from the far future, of a clock that was wrong, is not followed there.
  const sane = newest !== undefined && timeOf(newest) < nowMs() + dayMs;
  return {
    ...{ options, spools, state, sweepMs: options.sweepMs ?? 30_000, lingerMs: options.lingerMs ?? 20 },
    store: { db, fence, step: partitionStep, asShipper: await canShip(db) },
    nextId: createIds(sane ? newest : undefined),
    scratch: Buffer.allocUnsafe(lineBytesMax),
    ...{ sweepAtMs: 0, endCheckAtMs: 0 },
  };
}

/** Does what is to be done next. @returns milliseconds until there is more, if nothing is poked before; 0: at once */
export async function step(work: Work): Promise<number> {
  const { state } = work;
  if (monotonicMs() >= work.sweepAtMs) {
    await sweep(work);
    work.sweepAtMs = monotonicMs() + work.sweepMs;
  }
  if (state.news.size > 0) {
    if (state.quiet.size === 0) work.endCheckAtMs = monotonicMs() + endCheckMs;
    await storeNext(work);
    return 0;
  }
  await state.inFlight;
  state.lagMs = 0;
  state.caughtUpAtMs = monotonicMs();
  await removeFinished(work);
  if (state.quiet.size > 0 && monotonicMs() >= work.endCheckAtMs) await checkEndings(work);
  if (state.news.size > 0) return 0;
  const dueMs = Math.min(work.sweepAtMs, state.quiet.size > 0 ? work.endCheckAtMs : Number.POSITIVE_INFINITY);
  return Math.max(dueMs - monotonicMs(), 1);
}

/** Finds the spools whose poke was lost, and forgets those that are gone. */
async function sweep({ options, spools, state }: Work): Promise<void> {
  const found = new Set<Spool>([spools.node]);
  for (const { instanceId, generation } of await listGenerations(options.dataDir)) {
    found.add(spools.generation(instanceId, generation));
  }
  for (const spool of spools.all()) {
    if (found.has(spool)) state.news.add(spool);
    else if (!state.news.has(spool)) spools.forget(spool);
  }
}

/**
 * Reads and encodes the next batch for as long as PostgreSQL works on the one before: the busier it is, the more goes
 * into one transaction.
 */
async function storeNext(work: Work): Promise<void> {
  const { state, store } = work;
  const batch = emptyBatch();
  do await gatherNews(work, batch);
  while (!isFull(batch) && state.busy && !(await isOverWithin(state.inFlight, breatherMs)));
  await state.inFlight;
  if (batch.moves.size === 0) return;
  state.busy = true;
  state.inFlight = storeBatch(batch, store)
    .then(() => settle(work, batch))
    .finally(() => {
      state.busy = false;
    });
  // Its failure is met where it is awaited.
  state.inFlight.catch(() => undefined);
}

async function gatherNews({ options, spools, state, nextId, scratch }: Work, batch: Batch): Promise<void> {
  const { db, dataDir } = options;
  const news = [...state.news];
  // Whatever is poked while this reads is news again.
  state.news.clear();
  await spools.locate(db, news);
  const dry = await gather(batch, news, { dataDir, nextId, nowMs: nowMs(), scratch });
  for (const spool of dry) (spool.ended ? state.finished : state.quiet).add(spool);
  // To the end of the line: a flood must not keep the others waiting.
  for (const spool of news) if (!dry.has(spool)) state.news.add(spool);
}

/** Whether a promise is settled before `ms` have passed. A failure is passed on. */
async function isOverWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([promise.then(() => true), sleep(ms, timer.signal).then(() => false)]);
  } finally {
    timer.abort();
  }
}

/** A batch is committed: what it held may leave the disk. */
function settle({ options, state }: Work, batch: Batch): void {
  state.stored += batch.lines;
  state.storedBytes += batch.bytes;
  state.dropped += batch.dropped;
  state.lagMs = batch.lines === 0 ? 0 : Math.max(0, nowMs() - batch.oldestMs);
  state.caughtUpAtMs = monotonicMs();
  for (const [spool, move] of batch.moves) {
    spool.stored = move.to;
    if (move.to.segment === move.from.segment) continue;
    withSpoolDir(options.dataDir, spool.path, (dir) => {
      for (const segment of dir.segments()) if (segment < move.to.segment) dir.remove(segment);
    });
  }
}

async function checkEndings({ options, spools, state }: Work): Promise<void> {
  const asked = [...state.quiet].flatMap((spool) => (spool.ended ? [] : (spool.of ?? [])));
  state.quiet.clear();
  if (asked.length === 0) return;
  for (const { instanceId, generation } of await endedGenerations(options.db, asked)) {
    if (!(await options.isEnded(instanceId, generation))) continue;
    const spool = spools.generation(instanceId, generation);
    spool.ended = true;
    // What was written up to the end is still to be read.
    state.news.add(spool);
  }
}

async function removeFinished({ options, spools, state }: Work): Promise<void> {
  for (const spool of [...state.finished]) {
    state.finished.delete(spool);
    if (spool.of === null) continue;
    await options.removeGeneration(spool.of.instanceId, spool.of.generation);
    spools.forget(spool);
  }
}
