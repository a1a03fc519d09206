// What the passing of time does to instances: leases that end, and the warning before. Timers are hints; these sweeps,
// run again and again, are the truth.
import { monotonicMs, sleep } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Db, Fence } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import {
  deleteRetired,
  isWarningDue,
  listAtWork,
  listOverdue,
  takeWarnings,
} from '../db/queries/instances.ts';
import type { Apply } from './apply.ts';
import type { Effects } from './effects.ts';

export interface ClockOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly apply: Apply;
  readonly effects: Effects;
  readonly log: Logger;
  readonly warnMinutes: () => Promise<number>;
  readonly retentionDays: () => Promise<number>;
  readonly say: (instanceId: string, level: 'info' | 'warn' | 'error', message: string) => void;
}

const batch = 500;

/** Ends one lease, if it is over by the database's clock. */
export async function expireOne(options: Pick<ClockOptions, 'apply' | 'effects'>, id: string): Promise<void> {
  options.effects.follow(await options.apply(id, { event: 'expire' }));
}

/** Ends every lease that is over. @returns how many there were */
export async function expireOverdue(options: ClockOptions): Promise<number> {
  const ids = await listOverdue(options.db, options.nodeId, batch);
  await Promise.all(ids.map((id) => expireOne(options, id)));
  return ids.length;
}

const endMsMax = 60_000;
const lookMs = { afterGood: 100, afterBad: 1_000 };

/**
 * Ends every instance of this node and resolves when none is at work, or after a minute. What fails (the database is
 * away, somebody else was faster) is tried again at the next look, and keeps no other instance from its end.
 */
export async function endEverything(
  options: Pick<ClockOptions, 'db' | 'nodeId' | 'apply' | 'effects' | 'log'>,
): Promise<void> {
  const end = async (id: string): Promise<void> =>
    options.effects.follow(await options.apply(id, { event: 'stop', reason: 'user' }));
  const startMs = monotonicMs();
  while (monotonicMs() - startMs < endMsMax) {
    let pauseMs = lookMs.afterGood;
    try {
      const rows = await listAtWork(options.db, options.nodeId);
      if (rows.length === 0) return;
      const ends = await Promise.allSettled(
        rows.filter(({ row }) => row.status !== 'stopping').map(({ row }) => end(row.id)),
      );
      const failed = ends.find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    } catch (error) {
      options.log.warn({ err: error }, 'not every instance could be ended yet');
      pauseMs = lookMs.afterBad;
    }
    await sleep(pauseMs);
  }
}

/** Warns the owners of leases about to end, once each. @returns how many */
export async function warnOwners(options: ClockOptions): Promise<number> {
  const minutes = await options.warnMinutes();
  if (!(await isWarningDue(options.db, options.nodeId, minutes))) return 0;
  const warned = await options.db.tx(async (tx) => {
    const rows = await takeWarnings(tx, options.nodeId, minutes);
    for (const row of rows) {
      await insertEvent(tx, {
        instanceId: row.id,
        userId: row.user_id,
        actorId: null,
        type: 'warned',
        data: { expires_at: row.expires_at.toISOString() },
      });
    }
    return rows;
  }, options.fence());
  for (const row of warned)
    options.say(row.id, 'warn', `the lease ends at ${row.expires_at.toISOString()}; extend it to go on`);
  return warned.length;
}

/** Removes rows at rest for longer than the retention. @returns how many */
export async function retireOld(options: ClockOptions): Promise<number> {
  const days = await options.retentionDays();
  const ids = await options.db.tx((tx) => deleteRetired(tx, options.nodeId, days, batch), options.fence());
  if (ids.length > 0) options.log.info({ count: ids.length, days }, 'removed instances past their retention');
  return ids.length;
}
