// Statements on instance_usage: what instances used, a sample a minute. Reads are called under db.as, so that row-level
// security holds as well. Samples are written by writeDigests, in the statement of the health sweep.
import { z } from 'zod';
import type { Db, Queryable } from '../pool.ts';

const sampleSchema = z.object({
  at: z.date(),
  cpu_percent: z.number().nullable(),
  memory_bytes: z.number().nullable(),
  requests: z.number(),
  in_flight: z.number(),
  sessions: z.number(),
});
export type UsageRow = z.infer<typeof sampleSchema>;

export interface UsageSpan {
  readonly instanceId: string;
  /** Default: a day before its end. */
  readonly since: Date | null;
  /** Default: now. */
  readonly until: Date | null;
  readonly points: number;
}

/** What an instance used in a span of time, oldest first: at most so many points, each the mean of what it stands for. */
export async function readUsage(q: Queryable, span: UsageSpan): Promise<UsageRow[]> {
  const rows = await q.query(
    `WITH span AS (
       SELECT coalesce($2::timestamptz, until - interval '1 day') AS since, until
       FROM (SELECT coalesce($3::timestamptz, clock_timestamp()) AS until OFFSET 0) AS ended
     ), bin AS (
       SELECT *, greatest(60, ceil(extract(epoch FROM until - since) / $4::int)) * interval '1 second' AS width FROM span
     )
     SELECT min(u.at) AS at, avg(u.cpu_percent)::float8 AS cpu_percent, avg(u.memory_bytes)::float8 AS memory_bytes,
       max(u.requests) AS requests, avg(u.in_flight)::float8 AS in_flight, avg(u.sessions)::float8 AS sessions
     FROM bin, instance_usage u WHERE u.instance_id = $1 AND u.at >= bin.since AND u.at < bin.until
     GROUP BY date_bin(bin.width, u.at, bin.since) ORDER BY 1`,
    [span.instanceId, span.since, span.until, span.points],
  );
  return rows.map((row) => sampleSchema.parse(row));
}

const numbers = z.array(z.number().nullable());
const courseSchema = z.object({
  instance_id: z.string(),
  at: z.array(z.string()),
  cpu_percent: numbers,
  memory_bytes: numbers,
});
export type UsageCourse = z.infer<typeof courseSchema>;

/** The last samples of every instance at work, oldest first, in one statement. */
export async function listUsage(
  q: Queryable,
  wish: { readonly viewerId: string | null; readonly samples: number; readonly limit: number },
): Promise<UsageCourse[]> {
  const rows = await q.query(
    `SELECT i.id AS instance_id, u.* FROM mcp_instances i CROSS JOIN LATERAL (
       SELECT coalesce(json_agg(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ORDER BY at), '[]') AS at,
         coalesce(json_agg(cpu_percent ORDER BY at), '[]') AS cpu_percent,
         coalesce(json_agg(memory_bytes ORDER BY at), '[]') AS memory_bytes
       FROM (SELECT at, cpu_percent, memory_bytes FROM instance_usage
             WHERE instance_id = i.id ORDER BY at DESC LIMIT $2) AS last
     ) AS u
     WHERE i.status IN ('pending', 'running', 'stopping') AND i.deleted_at IS NULL
       AND ($1::uuid IS NULL OR i.user_id = $1)
     ORDER BY i.id LIMIT $3`,
    [wish.viewerId, wish.samples, wish.limit],
  );
  return rows.map((row) => courseSchema.parse(row));
}

const exportedSchema = sampleSchema.extend({ generation: z.number() });

/** Every sample of an instance after a moment, oldest first. */
export async function pageUsage(
  q: Queryable,
  page: { readonly instanceId: string; readonly after: Date | null; readonly limit: number },
): Promise<z.infer<typeof exportedSchema>[]> {
  const rows = await q.query(
    `SELECT at, generation, cpu_percent, memory_bytes, requests, in_flight, sessions FROM instance_usage
     WHERE instance_id = $1 AND ($2::timestamptz IS NULL OR at > $2) ORDER BY at LIMIT $3`,
    [page.instanceId, page.after, page.limit],
  );
  return rows.map((row) => exportedSchema.parse(row));
}

/** Deletes samples behind the retention, and nine of ten that are older than two days. */
export async function thinUsage(db: Db, days: number): Promise<void> {
  await db.query(`DELETE FROM instance_usage WHERE at < clock_timestamp() - $1 * interval '1 day'`, [days]);
  await db.query(
    `DELETE FROM instance_usage
     WHERE at < clock_timestamp() - interval '2 days' AND extract(minute FROM at)::int % 10 <> 0`,
  );
}
