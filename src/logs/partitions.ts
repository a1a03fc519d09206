// The partitions of logs and events: made ahead, so that no line waits for one, and dropped behind, which is how lines
// are forgotten. What cannot be done now, because someone holds the table, is done at the next tick.
import { nowMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db } from '../db/pool.ts';
import {
  dropPartitionsBehind,
  ensurePartition,
  type PartitionStep,
  partitioned,
} from '../db/queries/partitions.ts';

/** How far ahead there is always a partition, months. */
const monthsAhead = 3;
const daysAhead = 7;
/** The audit trail outlives the lines of a log: one that is gone after a month is none. */
const eventDaysMin = 400;

export interface PartitionOptions {
  readonly db: Db;
  readonly log: Logger;
  readonly step?: PartitionStep;
}

/** Makes the partitions from now on. @throws what the database says, database_unavailable for one */
export async function ensurePartitionsAhead({ db, step = 'month' }: PartitionOptions): Promise<void> {
  const now = new Date(nowMs());
  for (const parent of partitioned) {
    for (let ahead = 0; ahead <= (step === 'month' ? monthsAhead : daysAhead); ahead += 1) {
      const at =
        step === 'month'
          ? new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1))
          : new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + ahead));
      await ensurePartition(db, parent, at, step);
    }
  }
}

/** Drops what is wholly older than `retentionDays`, events never before 400. One that cannot be dropped now does not keep the others. */
export async function dropOldPartitions(options: PartitionOptions, retentionDays: number): Promise<string[]> {
  const dropped: string[] = [];
  for (const parent of partitioned) {
    try {
      const days = parent === 'mcp_events' ? Math.max(retentionDays, eventDaysMin) : retentionDays;
      dropped.push(...(await dropPartitionsBehind(options.db, parent, days)));
    } catch (error) {
      options.log.warn({ parent, reason: messageOf(error) }, 'old partitions stay until the next tick');
    }
  }
  if (dropped.length > 0) options.log.info({ partitions: dropped }, 'dropped old partitions');
  return dropped;
}
