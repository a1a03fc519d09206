// The log of an instance on disk: segments of JSON lines that the supervisor reads, stores and deletes. It never
// takes the service down: when the disk or the bound is full, lines are dropped, counted, and a marker says so once
// there is room again. A failure to write is such a drop, never an exception.
import { mkdirSync } from 'node:fs';
import { monotonicMs, nowMs } from '../base/clock.ts';
import type { SpoolLine } from './contract.ts';
import { createSpoolBudget, type LogBudget } from './spool-budget.ts';
import { createDropLedger } from './spool-drops.ts';
import { lastSequences, segmentsOf, sizeOnDisk } from './spool-files.ts';
import { createSpoolWriter } from './spool-writer.ts';

export interface SpoolOptions {
  /** Made if it is missing; what an earlier process left in it is continued in a new segment. */
  readonly directory: string;
  readonly spoolBytesMax: number;
  readonly segmentBytes: number;
  /** What the server may write; the shim's own words are few. */
  readonly budget: LogBudget;
  /** Called after lines have reached the file. */
  readonly onWritten: () => void;
}

export interface Spool {
  append(source: Source, level: SpoolLine['level'], msg: string, meta?: SpoolLine['meta']): void;
  /** Whether a line of the server appended now would be dropped, for want of room or of budget. */
  isDropping(): boolean;
  /** Counts such a line without anyone having looked at it. Only while `isDropping`. */
  drop(source: Source): void;
  /** Bytes that wait to be written, about. */
  queuedBytes(): number;
  /** Resolves when what was appended is written or dropped, or after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  /** Writes what waits at once; for a process that is about to die. */
  flushNow(): void;
}

export type Source = SpoolLine['source'];

/** How often a full disk or a full spool is looked at again. */
const retryMs = 250;
/** How often it is looked whether there is something to say about what the budget did not let through. */
const budgetLookMs = 5_000;

/** Opens the spool. Throws only if its directory cannot be made or read. */
export function openSpool(options: SpoolOptions): Spool {
  const { directory, spoolBytesMax, onWritten } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const found = segmentsOf(directory);
  const sequences = found.length > 0 ? lastSequences(directory, found) : new Map<Source, number>();
  /** Bytes on disk, at most: what is deleted meanwhile is seen at the next look. */
  let diskBytes = found.length > 0 ? sizeOnDisk(directory) : 0;
  const drops = createDropLedger();
  const budget = createSpoolBudget(options.budget, nowMs());
  let isToBeSaid = false;
  let retryAtMs = 0;
  let retryTimer: NodeJS.Timeout | undefined;

  const writer = createSpoolWriter({
    directory,
    lastSegment: found.at(-1) ?? 0,
    // A segment can be deleted only after the next one began, so one alone may never fill the bound.
    segmentBytes: Math.min(options.segmentBytes, Math.max(Math.floor(spoolBytesMax / 4), 1)),
    onWritten(bytes) {
      diskBytes += bytes;
      onWritten();
    },
    onLost(lines, error) {
      const code = error.code ?? 'unknown error';
      beginDropping(code === 'ENOSPC' ? 'the disk is full (ENOSPC)' : `the disk does not write (${code})`);
      for (const line of lines) {
        const { source, seq } = JSON.parse(line) as SpoolLine;
        drops.add(source, seq);
      }
    },
  });

  const nextSequence = (source: Source): number => {
    const seq = (sequences.get(source) ?? 0) + 1;
    sequences.set(source, seq);
    return seq;
  };

  function beginDropping(why: string): void {
    drops.begin(why);
    retryAtMs = monotonicMs() + retryMs;
    // Also when no further line comes, the marker must.
    if (retryTimer) return;
    retryTimer = setTimeout(() => {
      retryTimer = undefined;
      if (drops.isActive() && !recover()) beginDropping(why);
    }, retryMs);
  }

  /** Tries to write the markers of what was dropped. They go alone and at once: if they fit, the rest may follow. */
  function recover(): boolean {
    retryAtMs = monotonicMs() + retryMs;
    if (writer.isWriting()) return false;
    diskBytes = sizeOnDisk(directory);
    if (diskBytes >= spoolBytesMax) return false;
    // The sequence numbers of markers are taken only once they are on disk.
    let seq = sequences.get('system') ?? 0;
    const lines = drops.markers().map((marker) => {
      seq += 1;
      return `${JSON.stringify({ seq, t: nowMs(), ...marker } satisfies SpoolLine)}\n`;
    });
    try {
      writer.writeNow(lines.join(''));
    } catch {
      return false;
    }
    sequences.set('system', seq);
    drops.end();
    return true;
  }

  const hasRoom = (): boolean => {
    if (drops.isActive()) return monotonicMs() >= retryAtMs && recover();
    if (diskBytes + writer.queuedBytes() < spoolBytesMax) return true;
    diskBytes = sizeOnDisk(directory);
    if (diskBytes + writer.queuedBytes() < spoolBytesMax) return true;
    beginDropping('the spool is full');
    return false;
  };

  /** Says what the budget did not let through, when that is due and there is room for it. */
  const sayDropped = (isLast = false): void => {
    const markers = budget.due(nowMs(), isLast);
    if (markers.length > 0 && hasRoom()) {
      for (const marker of markers)
        writer.push(
          `${JSON.stringify({ seq: nextSequence('system'), t: nowMs(), ...marker } satisfies SpoolLine)}\n`,
        );
      budget.said(nowMs());
    }
  };

  const dropForBudget = (source: Source): void => {
    budget.drop(nextSequence(source));
    sayDropped();
    if (isToBeSaid) return;
    isToBeSaid = true;
    setTimeout(() => {
      isToBeSaid = false;
      sayDropped();
    }, budgetLookMs).unref();
  };

  return {
    append(source, level, msg, meta) {
      if (source === 'process' && budget.isSpent(nowMs())) return dropForBudget(source);
      // Before the number is taken: a marker written here takes one too.
      const isTaken = hasRoom();
      const seq = nextSequence(source);
      if (!isTaken) {
        drops.add(source, seq);
        return;
      }
      const line: SpoolLine = { seq, t: nowMs(), level, source, msg, ...(meta && { meta }) };
      const text = `${JSON.stringify(line)}\n`;
      if (source === 'process') budget.use(text.length);
      writer.push(text);
    },
    isDropping: () => (drops.isActive() && monotonicMs() < retryAtMs) || budget.isSpent(nowMs()),
    drop(source) {
      if (!drops.isActive()) dropForBudget(source);
      else drops.add(source, nextSequence(source));
    },
    queuedBytes: () => writer.queuedBytes(),
    flush: (timeoutMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        writer.whenEmpty(() => {
          if (drops.isActive()) recover();
          sayDropped(true);
          writer.whenEmpty(() => {
            clearTimeout(timer);
            resolve();
          });
        });
      }),
    flushNow() {
      sayDropped(true);
      writer.flushNow();
    },
  };
}
