// Appends lines to the segments of a spool: what arrives in one tick leaves in one write, one write at a time, so a
// slow disk delays log lines and never calls. Lines that could not be written are handed back, not lost silently.
import { close, openSync, write, writeSync } from 'node:fs';
import { segmentPath } from './spool-files.ts';

export interface SpoolWriterOptions {
  readonly directory: string;
  /** The highest number there is already; the first segment written gets the next. */
  readonly lastSegment: number;
  /** A segment that has reached this size is followed by another. */
  readonly segmentBytes: number;
  readonly onWritten: (bytes: number) => void;
  /** Whole lines that did not reach the disk, each without its newline. */
  readonly onLost: (lines: string[], error: NodeJS.ErrnoException) => void;
}

export interface SpoolWriter {
  /** Takes one line, newline included. */
  push(line: string): void;
  /** Bytes that wait to be written, about. */
  queuedBytes(): number;
  isWriting(): boolean;
  /** Writes past the queue and at once, or throws. Not while `isWriting`. */
  writeNow(lines: string): void;
  /** Calls back once nothing waits. */
  whenEmpty(callback: () => void): void;
  /** Writes what waits at once; for a process that is about to die. Never throws. */
  flushNow(): void;
}

/** Largest single write, bytes. */
const writeBytesMax = 1024 * 1024;

export function createSpoolWriter(options: SpoolWriterOptions): SpoolWriter {
  const { directory, segmentBytes, onWritten, onLost } = options;
  let segment = options.lastSegment;
  let fd: number | undefined;
  let segmentSize = 0;
  let queue: string[] = [];
  let queuedBytes = 0;
  let inFlight: Buffer | undefined;
  let isScheduled = false;
  const waiting: (() => void)[] = [];

  const leaveSegment = (): void => {
    if (fd !== undefined) close(fd, () => {});
    fd = undefined;
  };

  const openSegment = (): number => {
    if (segmentSize >= segmentBytes) leaveSegment();
    if (fd === undefined) {
      fd = openSync(segmentPath(directory, segment + 1), 'a', 0o600);
      segment += 1;
      segmentSize = 0;
    }
    return fd;
  };

  const count = (bytes: number): void => {
    segmentSize += bytes;
    if (bytes > 0) onWritten(bytes);
  };

  /** As many lines as make one write that stays within the segment. */
  const takeBatch = (): Buffer => {
    const room = Math.min(Math.max(segmentBytes - segmentSize, 1), writeBytesMax);
    let bytes = 0;
    let lines = 0;
    while (lines < queue.length && bytes < room) {
      bytes += queue[lines]?.length ?? 0;
      lines += 1;
    }
    const batch = Buffer.from(queue.slice(0, lines).join(''));
    queue = queue.slice(lines);
    queuedBytes -= bytes;
    return batch;
  };

  /** Half a line stays on disk as it is, and the next line begins a new segment. */
  const lose = (batch: Buffer, doneBytes: number, error: NodeJS.ErrnoException): void => {
    const whole = doneBytes > 0 ? batch.lastIndexOf(0x0a, doneBytes - 1) + 1 : 0;
    if (doneBytes > 0) leaveSegment();
    onLost(batch.toString('utf8', whole, batch.length - 1).split('\n'), error);
  };

  const pump = (): void => {
    isScheduled = false;
    while (!inFlight && queue.length > 0) {
      let target: number;
      try {
        target = openSegment();
      } catch (error) {
        lose(takeBatch(), 0, error as NodeJS.ErrnoException);
        continue;
      }
      inFlight = takeBatch();
      writeOn(target, inFlight, 0);
    }
    if (inFlight) return;
    for (const callback of waiting.splice(0)) callback();
  };

  const writeOn = (target: number, batch: Buffer, from: number): void => {
    write(target, batch, from, batch.length - from, null, (error, written) => {
      const done = from + (written ?? 0);
      if (!error && done < batch.length) {
        writeOn(target, batch, done);
        return;
      }
      inFlight = undefined;
      count(error ? from : batch.length);
      if (error) lose(batch, from, error);
      pump();
    });
  };

  return {
    push(line) {
      queue.push(line);
      queuedBytes += line.length;
      if (isScheduled || inFlight) return;
      isScheduled = true;
      setImmediate(pump);
    },
    queuedBytes: () => queuedBytes + (inFlight?.length ?? 0),
    isWriting: () => inFlight !== undefined,
    writeNow(lines) {
      const bytes = Buffer.from(lines);
      const written = writeSync(openSegment(), bytes);
      count(written);
      if (written === bytes.length) return;
      leaveSegment();
      throw new Error('only a part could be written');
    },
    whenEmpty(callback) {
      waiting.push(callback);
      pump();
    },
    flushNow() {
      try {
        while (queue.length > 0) writeSync(openSegment(), takeBatch());
      } catch {
        // Nothing is left that could be told.
      }
    },
  };
}
