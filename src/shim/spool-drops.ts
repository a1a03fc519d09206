// The account of log lines that were not kept: how many of each source, from which number to which, and why. Pure.
import type { SpoolLine } from './contract.ts';

type Source = SpoolLine['source'];
type Marker = Omit<SpoolLine, 'seq' | 't'>;

interface Run {
  dropped: number;
  firstSeq: number;
  lastSeq: number;
}

export interface DropLedger {
  /** From now on lines are being dropped. The first reason stands until `end`. */
  begin(why: string): void;
  isActive(): boolean;
  add(source: Source, seq: number): void;
  /** One line for each source that lost lines. */
  markers(): Marker[];
  /** The markers are written: the account is closed. */
  end(): void;
}

/** Opens an empty account. */
export function createDropLedger(): DropLedger {
  const runs = new Map<Source, Run>();
  let why: string | undefined;
  return {
    begin(reason) {
      why ??= reason;
    },
    isActive: () => why !== undefined,
    add(source, seq) {
      const run = runs.get(source);
      if (!run) {
        runs.set(source, { dropped: 1, firstSeq: seq, lastSeq: seq });
        return;
      }
      run.dropped += 1;
      run.firstSeq = Math.min(run.firstSeq, seq);
      run.lastSeq = Math.max(run.lastSeq, seq);
    },
    markers: () =>
      [...runs].map(([source, run]) => ({
        level: 'warn',
        source: 'system',
        msg: `${run.dropped} log lines dropped: ${why}`,
        meta: { dropped: run.dropped, first_seq: run.firstSeq, last_seq: run.lastSeq, of: source, why },
      })),
    end() {
      runs.clear();
      why = undefined;
    },
  };
}
