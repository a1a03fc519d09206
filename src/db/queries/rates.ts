// Statements on rate_counters: each supervisor writes what it has let through this minute and reads what the others have.
// The minute is the database's.
import type { Queryable } from '../pool.ts';

/** Whether another supervisor than this one holds a node now. */
export async function hasOtherNodes(q: Queryable, nodeId: string): Promise<boolean> {
  const rows = await q.query<{ other: boolean }>(
    'SELECT EXISTS (SELECT FROM nodes WHERE id <> $1 AND lease_until > clock_timestamp()) AS other',
    [nodeId],
  );
  return rows[0]?.other ?? false;
}

/** Adds this node's counts. @returns what the other nodes have counted this minute, for these keys */
export async function shareCounts(
  q: Queryable,
  nodeId: string,
  counts: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const rows = await q.query<{ key: string; hits: number }>(
    `WITH mine AS (
       INSERT INTO rate_counters (window_start, key, node_id, hits)
       SELECT date_trunc('minute', clock_timestamp()), key, $1, hits FROM unnest($2::text[], $3::int[]) AS c(key, hits)
       ON CONFLICT (window_start, key, node_id) DO UPDATE SET hits = rate_counters.hits + excluded.hits
     )
     SELECT key, sum(hits) AS hits FROM rate_counters
     WHERE window_start = date_trunc('minute', clock_timestamp()) AND key = ANY($2) AND node_id <> $1 GROUP BY key`,
    [nodeId, [...counts.keys()], [...counts.values()]],
  );
  return new Map(rows.map(({ key, hits }) => [key, Number(hits)]));
}

/** Deletes counts of minutes long past. */
export async function dropOldCounts(q: Queryable): Promise<void> {
  await q.query(`DELETE FROM rate_counters WHERE window_start < clock_timestamp() - interval '5 minutes'`);
}
