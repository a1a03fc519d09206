// The statements that make quotas hold: one locks the user whose instances are about to be counted, one looks how many
// were created within the hour, removed or not: the trail has them all.
import type { Queryable } from '../pool.ts';

/** Locks an active user's row. @returns undefined when the user is gone or disabled */
export async function lockUserForQuota(
  q: Queryable,
  userId: string,
): Promise<{ max_instances: number | null } | undefined> {
  const rows = await q.query<{ max_instances: number | null }>(
    `SELECT max_instances FROM users
     WHERE id = $1 AND deleted_at IS NULL AND disabled_at IS NULL AND is_active FOR NO KEY UPDATE`,
    [userId],
  );
  return rows[0];
}

/** Seconds until a user may create another instance when `perHour` are allowed; 0: now. */
export async function secondsUntilCreation(q: Queryable, userId: string, perHour: number): Promise<number> {
  if (perHour === 0) return 3_600;
  // The one that has to fall out of the hour first, if so many were created within it.
  const rows = await q.query<{ seconds: number }>(
    `SELECT ceil(extract(epoch FROM created_at + interval '1 hour' - clock_timestamp()))::int AS seconds
     FROM mcp_events
     WHERE user_id = $1 AND event_type = 'created' AND created_at > clock_timestamp() - interval '1 hour'
     ORDER BY created_at DESC OFFSET $2 LIMIT 1`,
    [userId, perHour - 1],
  );
  return rows[0] === undefined ? 0 : Math.max(1, rows[0].seconds);
}
