// Statements on nodes: who holds this machine's row, at which epoch, and until when.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

/** Proof of the process that holds a node. */
export interface Holder {
  readonly host: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
  readonly uid: number;
  readonly since: string;
}

export interface NodeRow {
  readonly epoch: number;
  readonly holder: Partial<Holder>;
  readonly leaseLive: boolean;
  readonly secondsLeft: number;
}

const rowSchema = z.object({
  epoch: z.number(),
  holder: z.record(z.string(), z.unknown()),
  lease_live: z.boolean(),
  seconds_left: z.number(),
});

/**
 * Locks the node's row, making it if it is new. FOR UPDATE waits for every write in flight under the old epoch.
 */
export async function lockNode(q: Queryable, id: string): Promise<NodeRow> {
  await q.query('INSERT INTO nodes (id) VALUES ($1) ON CONFLICT DO NOTHING', [id]);
  const rows = await q.query(
    `SELECT epoch, holder, coalesce(lease_until > clock_timestamp(), false) AS lease_live,
       coalesce(extract(epoch FROM lease_until - clock_timestamp()), 0)::float8 AS seconds_left
     FROM nodes WHERE id = $1 FOR UPDATE`,
    [id],
  );
  const row = rowSchema.parse(rows[0]);
  return {
    epoch: row.epoch,
    holder: row.holder as Partial<Holder>,
    leaseLive: row.lease_live,
    secondsLeft: row.seconds_left,
  };
}

export interface Registration {
  readonly id: string;
  readonly holder: Holder;
  readonly capacity: Record<string, unknown>;
  readonly version: string;
  readonly leaseSeconds: number;
}

/** Raises the epoch and takes the lease. @returns the new epoch */
export async function takeNode(q: Queryable, node: Registration): Promise<number> {
  const rows = await q.query<{ epoch: number }>(
    `UPDATE nodes SET epoch = epoch + 1, state = 'active', holder = $2, capacity = $3, version = $4,
       lease_until = clock_timestamp() + $5 * interval '1 second', streak_since = clock_timestamp(), updated_at = clock_timestamp()
     WHERE id = $1 RETURNING epoch`,
    [node.id, node.holder, node.capacity, node.version, node.leaseSeconds],
  );
  return rows[0]?.epoch ?? 0;
}

/** Renews the lease. @returns false when another supervisor has the node */
export async function renewNode(
  q: Queryable,
  id: string,
  epoch: number,
  leaseSeconds: number,
): Promise<boolean> {
  const rows = await q.query(
    `UPDATE nodes SET lease_until = clock_timestamp() + $3 * interval '1 second',
       streak_since = CASE WHEN lease_until > clock_timestamp() THEN streak_since ELSE clock_timestamp() END
     WHERE id = $1 AND epoch = $2 RETURNING 1`,
    [id, epoch, leaseSeconds],
  );
  return rows.length === 1;
}

/** Lets the lease go at a clean stop, so that the next supervisor need not prove anything. */
export async function releaseNode(q: Queryable, id: string, epoch: number): Promise<void> {
  await q.query(`UPDATE nodes SET lease_until = NULL, holder = '{}' WHERE id = $1 AND epoch = $2`, [
    id,
    epoch,
  ]);
}

export async function setNodeState(q: Queryable, id: string, state: 'active' | 'draining'): Promise<void> {
  await q.query('UPDATE nodes SET state = $2, updated_at = clock_timestamp() WHERE id = $1', [id, state]);
}
