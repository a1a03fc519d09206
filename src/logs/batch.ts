// Gathers one batch: a piece of each spool that has news, turned into rows. It reads and encodes only; nothing is
// stored and nothing deleted here.
import type { OffsetMove } from '../db/queries/log-offsets.ts';
import { nextPiece, type Piece } from './pieces.ts';
import { type EncodedRow, encodeLine, marker, type RowContext } from './rows.ts';
import { withSpoolDir } from './spool-dir.ts';
import type { Spool } from './spools.ts';

/** Bytes of spool in one batch, about. */
const batchBytesMax = 2 * 1024 * 1024;
const pieceBytesMin = 32 * 1024;

export interface Batch {
  /** Rows of COPY text by instance, in the order of their lines. */
  readonly rows: Map<string, string[]>;
  readonly moves: { readonly spool: Spool; readonly move: OffsetMove }[];
  /** Times of the first lines of each UTC day that occurs: partitions may have to be made for them. */
  readonly days: Map<number, Date>;
  lines: number;
}

export interface GatherOptions {
  readonly dataDir: string;
  readonly nextId: () => string;
  readonly nowMs: number;
  readonly scratch: Buffer;
}

/** Takes from each spool what is next. @returns the batch, and the spools that had nothing (yet) */
export function gather(spools: readonly Spool[], options: GatherOptions): { batch: Batch; dry: Spool[] } {
  const batch: Batch = { rows: new Map(), moves: [], days: new Map(), lines: 0 };
  const bytesMax = Math.max(Math.floor(batchBytesMax / Math.max(spools.length, 1)), pieceBytesMin);
  const dry: Spool[] = [];
  let bytes = 0;
  for (const spool of spools) {
    // Those past the bound are still in news, and come first in the next batch.
    if (bytes >= batchBytesMax) break;
    const piece = withSpoolDir(options.dataDir, spool.path, (dir) =>
      nextPiece(dir, { at: spool.read, bytesMax, ended: spool.ended, scratch: options.scratch }),
    );
    if (piece === undefined) {
      dry.push(spool);
      continue;
    }
    bytes += piece.lines.length;
    take(batch, spool, piece, options);
  }
  return { batch, dry };
}

function take(batch: Batch, spool: Spool, piece: Piece, options: GatherOptions): void {
  const before = batch.lines;
  const context: RowContext = { ...options, instanceId: spool.of?.instanceId ?? null };
  const add = (row: EncodedRow): void => {
    const rows = batch.rows.get(row.instanceId);
    if (rows === undefined) batch.rows.set(row.instanceId, [row.text]);
    else rows.push(row.text);
    const day = Math.floor(row.t / 86_400_000);
    if (!batch.days.has(day)) batch.days.set(day, new Date(row.t));
    batch.lines += 1;
  };
  const note = (message: string, meta: Record<string, unknown>): void => {
    // In the spool of a node a broken line does not say whose it was; only our own log can be told, and was.
    if (spool.of !== null) add(marker({ ...context, instanceId: spool.of.instanceId }, message, meta));
  };
  if (piece.lines.length > 0) {
    const text = piece.lines.toString('utf8');
    for (let from = 0; from < text.length; ) {
      const end = text.indexOf('\n', from);
      const line = text.slice(from, end);
      from = end + 1;
      const row = line === '' ? undefined : encodeLine(line, context);
      if (row !== undefined) add(row);
      else if (line !== '') {
        note(`a log line of ${line.length} characters could not be read`, { marker: 'unreadable' });
      }
    }
  }
  if (piece.lostBytes > 0) {
    const meta = { marker: 'torn', bytes: piece.lostBytes, segment: piece.to.segment };
    note(`the end of a log line was lost: ${piece.lostBytes} bytes of it are here`, meta);
  }
  batch.moves.push({
    spool,
    move: {
      ...{ spool: spool.name, instanceId: spool.of?.instanceId ?? null, from: spool.read, to: piece.to },
      lines: batch.lines - before,
    },
  });
  spool.read = piece.to;
}
