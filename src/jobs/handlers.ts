// What each queue does: one line each, into the rooms that know how. A handler that throws is retried by the queue and
// found again by the next tick.
import type { JobQueue } from './queue.ts';

export interface HandlerRooms {
  readonly expireOne: (id: string) => Promise<unknown>;
  readonly expireOverdue: () => Promise<unknown>;
  readonly warnOwners: () => Promise<unknown>;
  readonly sweepHealth: () => Promise<unknown>;
  readonly reconcile: () => Promise<unknown>;
  /** Partitions ahead, retention behind. */
  readonly housekeeping: () => Promise<unknown>;
}

/** Job names; the ticks of schedule.ts use the same. */
export const expireJob = 'expire';

export function defineJobs(queue: JobQueue, rooms: HandlerRooms): void {
  queue.define<{ id: string }>({
    name: expireJob,
    policy: 'standard',
    retryLimit: 5,
    batchSize: 25,
    handle: ({ id }) => rooms.expireOne(id),
  });
  queue.define({
    name: 'sweep',
    policy: 'stately',
    retryLimit: 0,
    batchSize: 1,
    handle: async () => {
      await rooms.expireOverdue();
      await rooms.warnOwners();
    },
  });
  queue.define({ name: 'health', policy: 'stately', retryLimit: 0, batchSize: 1, handle: rooms.sweepHealth });
  queue.define({
    name: 'reconcile',
    policy: 'stately',
    retryLimit: 0,
    batchSize: 1,
    handle: rooms.reconcile,
  });
  queue.define({
    name: 'housekeeping',
    policy: 'stately',
    retryLimit: 3,
    batchSize: 1,
    handle: rooms.housekeeping,
  });
}
