// Rates over several supervisors: each counts in its own process, as always, and about once a second tells PostgreSQL and
// learns what the others have counted. So a limit holds for all of them together, late by a second or two. Where there is
// one supervisor nothing is written; where the database is away each goes on with its own counts.
import { monotonicMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db } from '../db/pool.ts';
import { dropOldCounts, hasOtherNodes, shareCounts } from '../db/queries/rates.ts';

export interface SharedRates {
  /** Counts a request. @returns how many the other supervisors have counted for this key in the minute, as last told */
  count(key: string): number;
  stop(): void;
}

export interface SharedRatesOptions {
  readonly db: Db;
  readonly nodeId: string;
  readonly log: Logger;
  readonly flushMs?: number | undefined;
}

const lookMs = 10_000;
const minuteMs = 60_000;
/** Keys held between two flushes, and of the others: past it further keys are counted here only. */
const keysMax = 20_000;

export function createSharedRates({ db, nodeId, log, flushMs = 1_000 }: SharedRatesOptions): SharedRates {
  let own = new Map<string, number>();
  const others = new Map<string, { readonly hits: number; readonly untilMs: number }>();
  let timer: NodeJS.Timeout | undefined;
  let isAlone = true;
  let lookAtMs = 0;
  let dropAtMs = 0;
  let stopped = false;

  const flush = async (): Promise<void> => {
    const counts = own;
    own = new Map();
    const now = monotonicMs();
    if (now >= lookAtMs) {
      lookAtMs = now + lookMs;
      isAlone = !(await hasOtherNodes(db, nodeId));
      if (isAlone) others.clear();
    }
    if (isAlone || counts.size === 0) return;
    const found = await shareCounts(db, nodeId, counts);
    for (const [key, known] of others) if (known.untilMs <= now) others.delete(key);
    for (const key of counts.keys()) {
      const hits = found.get(key);
      if (hits === undefined) others.delete(key);
      else if (others.size < keysMax) others.set(key, { hits, untilMs: now + minuteMs });
    }
    if (now < dropAtMs) return;
    dropAtMs = now + minuteMs;
    await dropOldCounts(db);
  };
  const run = (): void => {
    flush()
      .catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'rates could not be shared'))
      .finally(() => {
        timer = undefined;
        if (own.size > 0) arm();
      });
  };
  const arm = (): void => {
    if (stopped) return;
    timer ??= setTimeout(run, flushMs).unref();
  };

  return {
    count(key) {
      if (own.size < keysMax || own.has(key)) own.set(key, (own.get(key) ?? 0) + 1);
      arm();
      const known = others.get(key);
      return known === undefined || known.untilMs <= monotonicMs() ? 0 : known.hits;
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
