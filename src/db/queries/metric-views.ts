// What a scrape of the metrics asks: counts over instances, ports, leases and jobs, each by an index or over a small
// table. Nothing here changes a row.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const leaseSchema = z.object({ within_5: z.number(), within_60: z.number() });

/** Leases of instances at work that end within 5 and within 60 minutes, by the database's clock. */
export async function countEndingLeases(q: Queryable): Promise<z.infer<typeof leaseSchema>> {
  const rows = await q.query(
    `SELECT count(*) FILTER (WHERE expires_at <= clock_timestamp() + interval '5 minutes') AS within_5,
       count(*) AS within_60
     FROM mcp_instances
     WHERE status IN ('pending', 'running', 'stopping') AND expires_at <= clock_timestamp() + interval '60 minutes'`,
  );
  return leaseSchema.parse(rows[0]);
}

const memorySchema = z.object({
  shim_max: z.number(),
  shim_sum: z.number(),
  server_max: z.number(),
  server_sum: z.number(),
});

/** Memory of shims and of all processes of an instance, as the last health sweep found it, bytes. */
export async function readMemory(q: Queryable): Promise<z.infer<typeof memorySchema>> {
  const rows = await q.query(
    `SELECT coalesce(max(shim), 0)::float8 AS shim_max, coalesce(sum(shim), 0)::float8 AS shim_sum,
       coalesce(max(server), 0)::float8 AS server_max, coalesce(sum(server), 0)::float8 AS server_sum
     FROM (SELECT CASE jsonb_typeof(stats->'shim_memory_bytes') WHEN 'number' THEN (stats->>'shim_memory_bytes')::float8 END AS shim,
         CASE jsonb_typeof(stats->'memory_bytes') WHEN 'number' THEN (stats->>'memory_bytes')::float8 END AS server
       FROM mcp_instances WHERE status = 'running' AND deleted_at IS NULL) AS figures`,
  );
  return memorySchema.parse(rows[0]);
}

/** Seconds each node's lease still runs; below zero when it is over. Nodes that were let go are left out. */
export function readNodeLeases(q: Queryable): Promise<{ node_id: string; seconds: number }[]> {
  return q.query(
    `SELECT id AS node_id, extract(epoch FROM lease_until - clock_timestamp())::float8 AS seconds
     FROM nodes WHERE lease_until IS NOT NULL`,
  );
}

export interface QueueFigures {
  readonly queue: string;
  readonly ready: number;
  readonly active: number;
  /** Seconds the oldest job that could run has waited. */
  readonly oldest_seconds: number;
}

/** Jobs of each queue that could run now and those that do. None while the queue has not made its tables. */
export async function readQueues(q: Queryable): Promise<QueueFigures[]> {
  const [there] = await q.query<{ yes: boolean }>(`SELECT to_regclass('pgboss.job') IS NOT NULL AS yes`);
  if (there?.yes !== true) return [];
  return q.query(
    `SELECT q.name AS queue, count(*) FILTER (WHERE j.state < 'active') AS ready,
       count(*) FILTER (WHERE j.state = 'active') AS active,
       coalesce(extract(epoch FROM clock_timestamp() - min(j.start_after) FILTER (WHERE j.state < 'active')), 0)::float8
         AS oldest_seconds
     FROM pgboss.queue q LEFT JOIN pgboss.job j ON j.name = q.name AND j.state <= 'active'
       AND (j.state = 'active' OR j.start_after <= clock_timestamp())
     WHERE q.name NOT LIKE '\\_\\_pgboss%' GROUP BY q.name`,
  );
}
