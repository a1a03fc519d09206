// Gathers one batch: what is next in each spool that has news, turned into rows. It reads and encodes only; nothing is
// stored and nothing deleted here. It works in small pieces and lets the process breathe between them: the database is
// fed meanwhile, and the API answers.
import { setImmediate as breathe } from 'node:timers/promises';
import type { OffsetMove } from '../db/queries/log-offsets.ts';
import { nextPiece, type Piece } from './pieces.ts';
import { type EncodedRow, encodeLine, marker, type RowContext } from './rows.ts';
import { withSpoolDir } from './spool-dir.ts';
import type { Spool } from './spools.ts';

/** Bytes of spool in one batch, about. */
const batchBytesMax = 4 * 1024 * 1024;
/** Read and encoded at a stretch: a few milliseconds. */
const pieceBytesMax = 64 * 1024;

export interface Batch {
  /** Rows of COPY text by instance, in the order of their lines, many to a block. */
  readonly rows: Map<string, Buffer[]>;
  readonly moves: Map<Spool, OffsetMove>;
  /** A time on each UTC day that occurs: partitions may have to be made for them. */
  readonly days: Map<number, Date>;
  lines: number;
  /** Of spool. */
  bytes: number;
  /** Lines that are not in it because they could not be kept, by their markers. */
  dropped: number;
  /** Time of its oldest line, milliseconds. */
  oldestMs: number;
}

export interface GatherOptions {
  readonly dataDir: string;
  readonly nextId: () => string;
  readonly nowMs: number;
  readonly scratch: Buffer;
}

export function emptyBatch(): Batch {
  return {
    rows: new Map(),
    moves: new Map(),
    days: new Map(),
    lines: 0,
    bytes: 0,
    dropped: 0,
    oldestMs: Number.POSITIVE_INFINITY,
  };
}

export function isFull(batch: Batch): boolean {
  return batch.bytes >= batchBytesMax;
}

/** Takes from each spool in turn until the batch is full. @returns the spools that are read to the end */
export async function gather(
  batch: Batch,
  spools: readonly Spool[],
  options: GatherOptions,
): Promise<Set<Spool>> {
  const { dataDir, scratch } = options;
  const dry = new Set<Spool>();
  for (let left = [...spools]; left.length > 0 && !isFull(batch); ) {
    const wet: Spool[] = [];
    for (const spool of left) {
      const { read: at, ended } = spool;
      const piece = withSpoolDir(dataDir, spool.path, (dir) =>
        nextPiece(dir, { at, bytesMax: pieceBytesMax, ended, scratch }),
      );
      if (piece === undefined) {
        dry.add(spool);
        continue;
      }
      wet.push(spool);
      take(batch, spool, piece, options);
      if (isFull(batch)) break;
      if (piece.lines.length > pieceBytesMax / 4) await breathe();
    }
    left = wet;
  }
  return dry;
}

function take(batch: Batch, spool: Spool, piece: Piece, options: GatherOptions): void {
  const context: RowContext = { ...options, instanceId: spool.of?.instanceId ?? null };
  const texts = new Map<string, string>();
  let lines = 0;
  const add = (row: EncodedRow): void => {
    texts.set(row.instanceId, (texts.get(row.instanceId) ?? '') + row.text);
    const day = Math.floor(row.t / 86_400_000);
    if (!batch.days.has(day)) batch.days.set(day, new Date(row.t));
    lines += 1;
    batch.dropped += row.dropped;
    batch.oldestMs = Math.min(batch.oldestMs, row.t);
  };
  const note = (message: string, meta: Record<string, unknown>): void => {
    // In the spool of a node a broken line does not say whose it was.
    if (spool.of !== null) add(marker({ ...context, instanceId: spool.of.instanceId }, message, meta));
  };
  const text = piece.lines.toString('utf8');
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf('\n', from);
    const line = text.slice(from, end);
    from = end + 1;
    if (line === '') continue;
    const row = encodeLine(line, context);
    if (row !== undefined) add(row);
    else note(`a log line of ${line.length} characters could not be read`, { marker: 'unreadable' });
  }
  if (piece.lostBytes > 0) {
    const meta = { marker: 'torn', bytes: piece.lostBytes, segment: piece.to.segment };
    note(`the end of a log line was lost: ${piece.lostBytes} bytes of it are here`, meta);
  }
  for (const [id, rows] of texts) {
    // Bytes at once: text that is held until the batch is full costs the garbage collector twice the work.
    const block = Buffer.from(rows);
    const before = batch.rows.get(id);
    if (before === undefined) batch.rows.set(id, [block]);
    else before.push(block);
  }
  const earlier = batch.moves.get(spool);
  batch.moves.set(spool, {
    ...{ spool: spool.name, instanceId: spool.of?.instanceId ?? null },
    ...{ from: earlier?.from ?? spool.read, to: piece.to, lines: (earlier?.lines ?? 0) + lines },
    bytes: (earlier?.bytes ?? 0) + piece.lines.length,
  });
  batch.lines += lines;
  batch.bytes += piece.lines.length + piece.lostBytes;
  spool.read = piece.to;
}
