// Statements on log_offsets: how far each spool is stored. An offset moves only from where its mover believes it to be,
// in the transaction that stores the lines; a mover that is mistaken gets none of both.
import type { Queryable, Tx } from '../pool.ts';

export interface SpoolOffset {
  readonly segment: number;
  readonly offsetBytes: number;
}

export interface OffsetMove {
  /** Name of the spool: instance/generation, or node/<id>. */
  readonly spool: string;
  /** Null for the spool of a node, which has lines of many instances. */
  readonly instanceId: string | null;
  readonly from: SpoolOffset;
  readonly to: SpoolOffset;
  /** Lines in this move, for the running count in `seq`. */
  readonly lines: number;
  /** Bytes of spool in this move, for the count of the day. */
  readonly bytes: number;
}

/** Offsets of the spools that have one. */
export async function readOffsets(
  q: Queryable,
  spools: readonly string[],
): Promise<Map<string, SpoolOffset>> {
  const rows = await q.query<{ spool: string; segment: number; offset_bytes: number }>(
    'SELECT spool, segment, offset_bytes FROM log_offsets WHERE spool = ANY($1)',
    [spools],
  );
  return new Map(rows.map((row) => [row.spool, { segment: row.segment, offsetBytes: row.offset_bytes }]));
}

/** Moves offsets. @returns whether every one was where its mover believed; if not, the transaction must be given up */
export async function moveOffsets(q: Queryable, moves: readonly OffsetMove[]): Promise<boolean> {
  const rows = await q.query(
    `INSERT INTO log_offsets AS o (spool, mcp_instance_id, segment, offset_bytes, seq, day, day_bytes, updated_at)
     SELECT spool, instance, to_segment, to_offset, lines, (clock_timestamp() AT TIME ZONE 'UTC')::date, bytes,
       clock_timestamp()
     FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $7::bigint[], $8::bigint[])
       AS m(spool, instance, to_segment, to_offset, lines, bytes)
     ON CONFLICT (spool) DO UPDATE SET segment = excluded.segment, offset_bytes = excluded.offset_bytes,
       seq = o.seq + excluded.seq, day = excluded.day,
       day_bytes = excluded.day_bytes + CASE WHEN o.day = excluded.day THEN o.day_bytes ELSE 0 END, updated_at = excluded.updated_at
     WHERE (o.spool, o.segment, o.offset_bytes) IN
       (SELECT * FROM unnest($1::text[], $5::bigint[], $6::bigint[]))
     RETURNING 1`,
    [
      moves.map((move) => move.spool),
      moves.map((move) => move.instanceId),
      moves.map((move) => move.to.segment),
      moves.map((move) => move.to.offsetBytes),
      moves.map((move) => move.from.segment),
      moves.map((move) => move.from.offsetBytes),
      moves.map((move) => move.lines),
      moves.map((move) => move.bytes),
    ],
  );
  return rows.length === moves.length;
}

/** Bytes of spool of an instance, all its generations, that were stored on this UTC day. */
export async function readStoredToday(q: Queryable, instanceId: string): Promise<number> {
  const rows = await q.query<{ bytes: number }>(
    `SELECT coalesce(sum(day_bytes), 0)::bigint AS bytes FROM log_offsets
     WHERE mcp_instance_id = $1 AND day = (clock_timestamp() AT TIME ZONE 'UTC')::date`,
    [instanceId],
  );
  return rows[0]?.bytes ?? 0;
}

/**
 * Which of these instances there are. Their rows are held, in one order for everybody, so that none is deleted while
 * its lines are being stored.
 */
export async function holdInstances(tx: Tx, ids: readonly string[]): Promise<Set<string>> {
  const rows = await tx.query<{ id: string }>(
    'SELECT id FROM mcp_instances WHERE id = ANY($1) ORDER BY id FOR KEY SHARE',
    [ids],
  );
  return new Set(rows.map((row) => row.id));
}

/** Of these generations, those the database knows to be over: at rest, replaced by a later one, or deleted. */
export async function endedGenerations(
  q: Queryable,
  generations: readonly { readonly instanceId: string; readonly generation: number }[],
): Promise<{ instanceId: string; generation: number }[]> {
  const rows = await q.query<{ instance_id: string; generation: number }>(
    `SELECT g.instance_id, g.generation FROM unnest($1::uuid[], $2::int[]) AS g(instance_id, generation)
     LEFT JOIN mcp_instances i ON i.id = g.instance_id
     WHERE i.id IS NULL OR i.generation > g.generation OR i.status IN ('expired', 'disconnected', 'error')`,
    [generations.map((one) => one.instanceId), generations.map((one) => one.generation)],
  );
  return rows.map((row) => ({ instanceId: row.instance_id, generation: row.generation }));
}
