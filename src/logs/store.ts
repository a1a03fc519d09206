// Stores one batch: rows by COPY, offsets, and the announcement, in one transaction under the node's fence. All of it or
// nothing, whenever the process is killed. Rows PostgreSQL refuses are found by halving and replaced by markers.
import type { Db, Fence, Tx } from '../db/pool.ts';
import { holdInstances, moveOffsets } from '../db/queries/log-offsets.ts';
import { copyLogs, notifyLogs } from '../db/queries/logs.ts';
import { ensurePartition, type PartitionStep } from '../db/queries/partitions.ts';
import { lowerToShipper } from '../db/queries/roles.ts';
import type { Batch } from './batch.ts';
import { replaceContent } from './rows.ts';

export interface StoreOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly step: PartitionStep;
  /** Whether the role that may only ship can be used here. */
  readonly asShipper: boolean;
}

/** Somebody else moved an offset this process believed to know. */
class OffsetConflict extends Error {
  constructor() {
    super('another process has stored from the same spool');
    this.name = 'OffsetConflict';
  }
}

/** Stores the batch. @throws OffsetConflict, or whatever kept the database from it; then nothing of it is stored */
export async function storeBatch(batch: Batch, options: StoreOptions): Promise<void> {
  try {
    await attempt(batch, options, copyLogs);
  } catch (error) {
    if (isMissingPartition(error)) {
      for (const day of batch.days.values()) await ensurePartition(options.db, 'mcp_logs', day, options.step);
    } else if (!isRefusal(error)) throw error;
    await attempt(batch, options, copyHalving);
  }
}

async function attempt(
  batch: Batch,
  options: StoreOptions,
  copy: (tx: Tx, blocks: readonly Buffer[]) => Promise<void>,
): Promise<void> {
  await options.db.tx(async (tx) => {
    const mentioned = [...batch.rows.keys()];
    const present = await holdInstances(tx, [
      ...new Set([...mentioned, ...[...batch.moves.values()].flatMap((move) => move.instanceId ?? [])]),
    ]);
    // Lines of an instance that is deleted have nowhere to go, and nobody who could read them.
    const kept = mentioned.filter((id) => present.has(id));
    if (options.asShipper) await lowerToShipper(tx);
    const blocks = kept.flatMap((id) => batch.rows.get(id) ?? []);
    if (blocks.length > 0) await copy(tx, blocks);
    const moves = [...batch.moves.values()].filter(
      (move) => move.instanceId === null || present.has(move.instanceId),
    );
    if (moves.length > 0 && !(await moveOffsets(tx, moves))) throw new OffsetConflict();
    if (kept.length > 0) await notifyLogs(tx, kept);
  }, options.fence());
}

/** Stores blocks of rows; where PostgreSQL refuses, ever smaller ones, down to the row it is about. */
async function copyHalving(tx: Tx, blocks: readonly Buffer[]): Promise<void> {
  await tx.query('SAVEPOINT half');
  try {
    await copyLogs(tx, blocks);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await tx.query('ROLLBACK TO SAVEPOINT half');
    const [block = Buffer.alloc(0)] = blocks;
    const parts = blocks.length > 1 ? blocks : rowsOf(block);
    if (parts.length === 1) {
      await copyLogs(tx, [Buffer.from(replaceContent(block.toString(), codeOf(error)))]);
    } else {
      const middle = parts.length >> 1;
      await copyHalving(tx, parts.slice(0, middle));
      await copyHalving(tx, parts.slice(middle));
    }
  }
  await tx.query('RELEASE SAVEPOINT half');
}

/** A newline in COPY's text always ends a row. */
function rowsOf(block: Buffer): Buffer[] {
  const rows: Buffer[] = [];
  for (let from = 0; from < block.length; ) {
    const end = block.indexOf(0x0a, from) + 1;
    rows.push(block.subarray(from, end));
    from = end;
  }
  return rows;
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}

/** Wrong in the data itself (class 22) or too much of it (class 54): trying again cannot help. */
function isRefusal(error: unknown): boolean {
  return /^(22|54)...$/.test(codeOf(error));
}

/** A check that names no constraint: the row fits no partition. */
function isMissingPartition(error: unknown): boolean {
  return codeOf(error) === '23514' && !(error as { constraint?: string }).constraint;
}
