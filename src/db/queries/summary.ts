// Counts for the head of the dashboard, in one statement. Called under db.as; `viewerId` is the application's own check.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const rowSchema = z.object({
  instances: z.record(z.string(), z.number()),
  leases_ending_within_hour: z.number(),
  server_time: z.date(),
});

/** Instances that are not removed by status, and how many at work end within the hour. */
export async function summarize(q: Queryable, viewerId: string | null): Promise<z.infer<typeof rowSchema>> {
  const rows = await q.query(
    `SELECT
       (SELECT coalesce(json_object_agg(status, count), '{}') FROM (
          SELECT status, count(*) AS count FROM mcp_instances
          WHERE deleted_at IS NULL AND ($1::uuid IS NULL OR user_id = $1) GROUP BY status) AS counted) AS instances,
       (SELECT count(*) FROM mcp_instances
        WHERE status IN ('pending', 'running', 'stopping') AND deleted_at IS NULL
          AND ($1::uuid IS NULL OR user_id = $1)
          AND expires_at <= clock_timestamp() + interval '1 hour') AS leases_ending_within_hour,
       clock_timestamp() AS server_time`,
    [viewerId],
  );
  return rowSchema.parse(rows[0]);
}
