// What the report of the installation's health is made from: how late this process is, and what the database tells of
// itself in a moment, asked once at a time however many want to know.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { monotonicMs } from '../base/clock.ts';
import { type Db, isReachable } from '../db/pool.ts';
import { readQueues } from '../db/queries/metric-views.ts';
import { listNodes } from '../db/queries/node-views.ts';
import type { ReportDetails } from './contract.ts';
import { nodeView } from './views.ts';

/** Finding out who asks, and what is read for them, each get this long, milliseconds. */
export const momentMs = 900;
const nodesMax = 100;
/** How often a timer is set to see how late it comes, milliseconds: each time wakes an idle process. */
const resolutionMs = 100;

/** Measures until the signal aborts. @returns a function that says how late timers were since it was last called */
export function watchLoop(signal: AbortSignal): () => ReportDetails['event_loop'] {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  signal.addEventListener('abort', () => delay.disable(), { once: true });
  const lateMs = (nanoseconds: number): number =>
    Number.isFinite(nanoseconds) ? Math.max(0, Math.round(nanoseconds / 1e5) / 10 - resolutionMs) : 0;
  return () => {
    const lag = { mean_ms: lateMs(delay.mean), p99_ms: lateMs(delay.percentile(99)) };
    delay.reset();
    return lag;
  };
}

export interface Stored {
  /** Null: the database did not answer in time. */
  readonly latencyMs: number | null;
  readonly details: Pick<ReportDetails, 'queue' | 'nodes'>;
}

/**
 * Reads what the database says of itself. Each question is on its way once at a time, however long it takes: who asks
 * meanwhile waits for the same answer, and a database that hangs holds three connections and not all.
 */
export function createStoredReader(db: Db): () => Promise<Stored> {
  const ping = onceAtATime(async () => {
    const beganMs = monotonicMs();
    return (await isReachable(db)) ? Math.round((monotonicMs() - beganMs) * 10) / 10 : null;
  });
  const queue = onceAtATime(async () => {
    const all = await readQueues(db);
    return {
      depth: all.reduce((sum, { ready }) => sum + ready, 0),
      active: all.reduce((sum, { active }) => sum + active, 0),
      oldest_s: Math.max(0, ...all.map(({ oldest_seconds: seconds }) => Math.round(seconds))),
    };
  });
  const nodes = onceAtATime(async () =>
    (await listNodes(db, { afterId: null, limit: nodesMax })).map(nodeView),
  );
  return async () => {
    const [latencyMs, queued, found] = await Promise.all([within(ping()), within(queue()), within(nodes())]);
    return { latencyMs, details: { queue: queued, nodes: found } };
  };
}

function onceAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () => {
    asked ??= ask().finally(() => {
      asked = undefined;
    });
    return asked;
  };
}

/** What a promise comes to within a moment; null when it fails or takes longer. */
function within<T>(promise: Promise<T>): Promise<T | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), momentMs);
    const settle = (value: T | null): void => {
      clearTimeout(timer);
      resolve(value);
    };
    promise.then(settle, () => settle(null));
  });
}
