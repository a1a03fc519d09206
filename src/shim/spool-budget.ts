// The log an instance may write on one UTC day. What is beyond it is counted and not kept, and a marker says how much:
// once when the budget is used up, then once a minute while there is more. Pure but for the clock it is given.
import type { SpoolLine } from './contract.ts';
import { createDropLedger } from './spool-drops.ts';

type Marker = Omit<SpoolLine, 'seq' | 't'>;

export interface SpoolBudget {
  /** Whether a line of the server may be kept now. */
  isSpent(nowMs: number): boolean;
  /** A line of the server has been kept. */
  use(bytes: number): void;
  /** A line of the server has not been kept. */
  drop(seq: number): void;
  /** What is to be said now, if anything; said is said once `said` is called. */
  due(nowMs: number, isLast: boolean): Marker[];
  said(nowMs: number): void;
}

export interface LogBudget {
  readonly bytesPerDay: number;
  /** What earlier generations of the instance have written on the day of the start. */
  readonly usedBytes: number;
}

const dayMs = 86_400_000;
const sayEveryMs = 60_000;

export function createSpoolBudget({ bytesPerDay, usedBytes }: LogBudget, startMs: number): SpoolBudget {
  const ledger = createDropLedger();
  let day = Math.floor(startMs / dayMs);
  let used = usedBytes;
  let saidMs = Number.NEGATIVE_INFINITY;
  let isNew = false;
  return {
    isSpent(nowMs) {
      const today = Math.floor(nowMs / dayMs);
      // A clock that is set back gives no second budget.
      if (today > day) {
        day = today;
        used = 0;
      }
      return used >= bytesPerDay;
    },
    use(bytes) {
      used += bytes;
    },
    drop(seq) {
      if (!ledger.isActive()) isNew = saidMs === Number.NEGATIVE_INFINITY;
      ledger.begin(`the log budget of the day, ${bytesPerDay} bytes, is used up`);
      ledger.add('process', seq);
    },
    due(nowMs, isLast) {
      const isDue = isNew || isLast || used < bytesPerDay || nowMs - saidMs >= sayEveryMs;
      return ledger.isActive() && isDue ? ledger.markers() : [];
    },
    said(nowMs) {
      saidMs = nowMs;
      isNew = false;
      ledger.end();
    },
  };
}
