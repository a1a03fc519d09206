// Statements on the partitions of mcp_logs and mcp_events: made ahead, dropped behind. None waits long for a lock, and
// so nobody waits long behind it: what could not be done now is done at the next tick.
import type { Db, Queryable } from '../pool.ts';

export const partitioned = ['mcp_logs', 'mcp_events'] as const;
export type Partitioned = (typeof partitioned)[number];

/** How long one partition covers. */
export type PartitionStep = 'month' | 'day';

/** Longest wait for a lock on the parent; everyone who wants it after us waits as long. */
const lockTimeout = '2s';

/** Makes the partition that holds a moment, if there is none. @returns its name */
export function ensurePartition(db: Db, parent: Partitioned, at: Date, step: PartitionStep): Promise<string> {
  return db.tx(async (tx) => {
    await tx.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
    const rows = await tx.query<{ name: string }>(
      'SELECT minimcp_ensure_partition($1::regclass, $2, $3) AS name',
      [parent, at, step],
    );
    return rows[0]?.name ?? '';
  });
}

export interface Partition {
  readonly name: string;
  /** End of what it holds, exclusive. */
  readonly until: Date;
}

/** Partitions of a parent, oldest first. */
export function listPartitions(q: Queryable, parent: Partitioned): Promise<Partition[]> {
  return q.query<Partition>(
    `SELECT c.relname AS name,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), $$TO \\('([^']+)'\\)$$))[1]::timestamptz AS until
     FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
     WHERE h.inhparent = $1::regclass ORDER BY until`,
    [parent],
  );
}

/** Drops partitions all of which is older than `days`, by the database's clock. @returns their names */
export async function dropPartitionsBehind(db: Db, parent: Partitioned, days: number): Promise<string[]> {
  const now = await db.query<{ edge: Date }>(`SELECT clock_timestamp() - $1 * interval '1 day' AS edge`, [
    days,
  ]);
  const edge = now[0]?.edge;
  if (edge === undefined) return [];
  const old = (await listPartitions(db, parent)).filter((partition) => partition.until <= edge);
  for (const { name } of old) {
    await db.tx(async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
      await tx.query(`DROP TABLE ${quoted(name)}`);
    });
  }
  return old.map(({ name }) => name);
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
