// The statement that makes quotas hold: it locks the user whose instances are about to be counted.
import type { Queryable } from '../pool.ts';

/** Locks an active user's row. @returns undefined when the user is gone or disabled */
export async function lockUserForQuota(
  q: Queryable,
  userId: string,
): Promise<{ max_instances: number | null } | undefined> {
  const rows = await q.query<{ max_instances: number | null }>(
    `SELECT max_instances FROM users
     WHERE id = $1 AND deleted_at IS NULL AND disabled_at IS NULL AND is_active FOR UPDATE`,
    [userId],
  );
  return rows[0];
}
