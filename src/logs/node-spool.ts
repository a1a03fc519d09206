// The supervisor's own words about instances, on disk before anything else happens to them: they take the same way into
// mcp_logs as the lines of a shim. It never takes the supervisor down: what cannot be written is counted, and said once
// there is room again.
import { closeSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { nowMs } from '../base/clock.ts';
import type { NodeSpoolLine } from './rows.ts';

export interface NodeSpool {
  /** Says something about an instance, in its log (source "system"). Written when it returns. */
  say(
    instanceId: string,
    level: NodeSpoolLine['level'],
    message: string,
    meta?: Readonly<Record<string, unknown>>,
  ): void;
  close(): void;
}

export interface NodeSpoolOptions {
  /** Called when lines were written: Ingest.pokeNode. */
  readonly onWritten?: () => void;
  readonly segmentBytes?: number;
  readonly spoolBytesMax?: number;
}

const messageCharsMax = 16 * 1024;

/** Opens the spool of this node, in a new segment: what a killed predecessor left half-written stays behind. */
export function createNodeSpool(dataDir: string, options: NodeSpoolOptions = {}): NodeSpool {
  const { segmentBytes = 1024 * 1024, spoolBytesMax = 64 * 1024 * 1024 } = options;
  const directory = join(dataDir, 'node-spool');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let segment = Math.max(segmentsIn(directory).at(-1)?.number ?? 0, 0);
  let fd: number | undefined;
  let size = 0;
  let others = bytesIn(directory);
  /** Words that found no room, by instance. */
  let dropped = new Map<string, number>();

  const openNext = (): number => {
    // By the clock as well as by what is there: were the directory emptied by hand, old offsets must not hide new lines.
    segment = Math.max(segment + 1, Math.trunc(nowMs() / 1000));
    const opened = openSync(join(directory, `${String(segment).padStart(10, '0')}.ndjson`), 'ax', 0o600);
    others = bytesIn(directory);
    size = 0;
    return opened;
  };

  const write = (lines: readonly NodeSpoolLine[]): boolean => {
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    try {
      if (fd !== undefined && size >= segmentBytes) {
        closeSync(fd);
        fd = undefined;
      }
      fd ??= openNext();
      if (others + size + bytes.length > spoolBytesMax) {
        others = bytesIn(directory) - size;
        if (others + size + bytes.length > spoolBytesMax) return false;
      }
      const written = writeSync(fd, bytes);
      size += written;
      if (written === bytes.length) return true;
      // Half a line: the next one begins in a new segment.
      size = segmentBytes;
      return false;
    } catch {
      return false;
    }
  };

  const lineOf = (
    instance: string,
    level: NodeSpoolLine['level'],
    msg: string,
    meta?: Readonly<Record<string, unknown>>,
  ): NodeSpoolLine => ({
    // Not numbered: the numbers of "system" belong to the shim.
    ...{ seq: 0, t: nowMs(), level, source: 'system', msg, instance },
    ...(meta === undefined ? {} : { meta }),
  });

  return {
    say(instanceId, level, message, meta) {
      const lines = [lineOf(instanceId, level, message.slice(0, messageCharsMax), meta)];
      for (const [id, count] of dropped) {
        lines.push(
          lineOf(id, 'warn', `${count} messages were dropped: no room`, {
            marker: 'dropped',
            dropped: count,
          }),
        );
      }
      if (write(lines)) {
        dropped = new Map();
        options.onWritten?.();
      } else dropped.set(instanceId, (dropped.get(instanceId) ?? 0) + 1);
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

function segmentsIn(directory: string): { number: number; path: string }[] {
  return readdirSync(directory)
    .flatMap((name) => {
      const number = Number(/^(\d{1,15})\.ndjson$/.exec(name)?.[1]);
      return number > 0 ? [{ number, path: join(directory, name) }] : [];
    })
    .sort((a, b) => a.number - b.number);
}

function bytesIn(directory: string): number {
  let bytes = 0;
  for (const { path } of segmentsIn(directory)) bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}
