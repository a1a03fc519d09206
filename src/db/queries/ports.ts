// Statements on port_allocations: the pool of one node. Leasing skips ports another transaction is deciding about, so
// no two instances ever get one, and nobody waits.
import type { Queryable } from '../pool.ts';

/** Whether any node has a pool yet. */
export async function hasPools(q: Queryable): Promise<boolean> {
  return (await q.query('SELECT 1 FROM port_allocations LIMIT 1')).length > 0;
}

/** Adds the ports of a range to a node's pool; those already there stay as they are. */
export async function seedPorts(q: Queryable, nodeId: string, from: number, to: number): Promise<void> {
  await q.query(
    `INSERT INTO port_allocations (node_id, port, is_available, allocated_at)
     SELECT $1, port, true, NULL FROM generate_series($2::int, $3::int) AS port ON CONFLICT DO NOTHING`,
    [nodeId, from, to],
  );
}

export interface PoolRange {
  readonly from: number;
  readonly to: number;
}

const isFree = 'is_available AND (quarantined_until IS NULL OR quarantined_until <= clock_timestamp())';

/**
 * Locks the free port that has rested longest. Nothing is written yet.
 * @returns undefined when none is free
 */
export async function lockFreePort(
  q: Queryable,
  nodeId: string,
  range: PoolRange,
): Promise<number | undefined> {
  const rows = await q.query<{ port: number }>(
    `SELECT port FROM port_allocations WHERE node_id = $1 AND port BETWEEN $2 AND $3 AND ${isFree}
     ORDER BY released_at NULLS FIRST, port LIMIT 1 FOR UPDATE SKIP LOCKED`,
    [nodeId, range.from, range.to],
  );
  return rows[0]?.port;
}

/** Locks this very port. @returns false when it is not free */
export async function lockPort(q: Queryable, nodeId: string, port: number): Promise<boolean> {
  const rows = await q.query(
    `SELECT 1 FROM port_allocations WHERE node_id = $1 AND port = $2 AND ${isFree} FOR UPDATE SKIP LOCKED`,
    [nodeId, port],
  );
  return rows.length === 1;
}

/** Gives a locked port to an instance. */
export async function assignPort(
  q: Queryable,
  nodeId: string,
  port: number,
  instanceId: string,
): Promise<void> {
  await q.query(
    `UPDATE port_allocations SET is_available = false, mcp_instance_id = $3, allocated_at = clock_timestamp(),
       released_at = NULL, quarantined_until = NULL, quarantine_reason = NULL
     WHERE node_id = $1 AND port = $2`,
    [nodeId, port, instanceId],
  );
}

/** Gives back whatever port an instance holds. Repeating it changes nothing. */
export async function releasePort(q: Queryable, instanceId: string): Promise<void> {
  await q.query(
    `UPDATE port_allocations SET is_available = true, mcp_instance_id = NULL, released_at = clock_timestamp()
     WHERE mcp_instance_id = $1`,
    [instanceId],
  );
}

/** Keeps a free port out of use for a while, because something that is not ours listens on it. */
export async function quarantinePort(
  q: Queryable,
  nodeId: string,
  port: number,
  options: { readonly seconds: number; readonly reason: string },
): Promise<void> {
  await q.query(
    `UPDATE port_allocations SET quarantined_until = clock_timestamp() + $3 * interval '1 second', quarantine_reason = $4
     WHERE node_id = $1 AND port = $2 AND mcp_instance_id IS NULL`,
    [nodeId, port, options.seconds, options.reason],
  );
}

/** Whether no instance holds anything: for the receipt. */
export async function isPortFreeOf(q: Queryable, instanceId: string): Promise<boolean> {
  const rows = await q.query('SELECT 1 FROM port_allocations WHERE mcp_instance_id = $1', [instanceId]);
  return rows.length === 0;
}
