// Statements that forget a person: their rows are deleted, and in the audit trail, which stays, what names them is taken
// out. Each may run again after being cut off.
import type { Queryable } from '../pool.ts';

/** Whether the erasure of this user has begun and is not done. */
export async function isBeingErased(q: Queryable, id: string): Promise<boolean> {
  const rows = await q.query('SELECT 1 FROM users WHERE id = $1 AND deleted_at IS NOT NULL FOR UPDATE', [id]);
  return rows.length > 0;
}

/** Whether a user with this fingerprint was erased, as long as the trail reaches back. */
export async function wasErased(q: Queryable, subject: string): Promise<boolean> {
  const rows = await q.query(
    `SELECT 1 FROM mcp_events WHERE event_type = 'user_erased' AND event_data->>'subject' = $1 LIMIT 1`,
    [subject],
  );
  return rows.length > 0;
}

export async function listBeingErased(q: Queryable, limit: number): Promise<string[]> {
  const rows = await q.query<{ id: string }>(
    'SELECT id FROM users WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT $1',
    [limit],
  );
  return rows.map((row) => row.id);
}

/** Locks a user out for good and takes away their name, address, API tokens and API keys. The row is still needed. */
export async function beginErasure(q: Queryable, id: string): Promise<void> {
  await q.query(
    `UPDATE users SET deleted_at = coalesce(deleted_at, clock_timestamp()), is_active = false,
       disabled_at = coalesce(disabled_at, clock_timestamp()), email = 'erased-' || id, name = '', role = 'user',
       updated_at = clock_timestamp()
     WHERE id = $1`,
    [id],
  );
  await q.query('DELETE FROM api_tokens WHERE user_id = $1', [id]);
  await q.query('DELETE FROM api_keys WHERE user_id = $1', [id]);
}

export interface InstanceToForget {
  readonly id: string;
  readonly is_removed: boolean;
  readonly is_at_rest: boolean;
  /** The receipt of its end is written: no process, home wiped. */
  readonly has_receipt: boolean;
}

/** Every instance a user ever had that is still held. */
export function listInstancesToForget(q: Queryable, userId: string): Promise<InstanceToForget[]> {
  return q.query(
    `SELECT id, deleted_at IS NOT NULL AS is_removed, status NOT IN ('pending', 'running', 'stopping') AS is_at_rest,
       EXISTS (SELECT FROM mcp_events e WHERE e.mcp_instance_id = i.id AND e.event_type = 'receipt') AS has_receipt
     FROM mcp_instances i WHERE user_id = $1 ORDER BY id`,
    [userId],
  );
}

/** Deletes up to `limit` log lines of an instance. @returns how many */
export async function deleteSomeLogs(q: Queryable, instanceId: string, limit: number): Promise<number> {
  const rows = await q.query<{ count: number }>(
    `WITH oldest AS (
       SELECT id, timestamp FROM mcp_logs WHERE mcp_instance_id = $1 ORDER BY timestamp LIMIT $2
     ), gone AS (
       DELETE FROM mcp_logs l USING oldest
       WHERE l.mcp_instance_id = $1 AND l.id = oldest.id AND l.timestamp = oldest.timestamp RETURNING 1
     ) SELECT count(*) AS count FROM gone`,
    [instanceId, limit],
  );
  return rows[0]?.count ?? 0;
}

/** What an event may keep of its data when the person is taken out of it: words of ours and figures. */
const impersonal = [
  ...[
    'from',
    'to',
    'generation',
    'reason',
    'exit_code',
    'processes',
    'port',
    'minutes',
    'mcp_type',
    'expires_at',
  ],
  ...['port_free', 'token_dead', 'home_wiped', 'isolation', 'subject', 'instances', 'log_lines', 'events'],
];

/**
 * Takes a person out of the trail: events about them are about nobody, what they did was done by `pseudonym`. Addresses
 * and programs of others who acted on their things stay. @returns how many events
 */
export async function forgetInEvents(q: Queryable, userId: string, pseudonym: string): Promise<number> {
  await q.query(`SELECT set_config('minimcp.erasing', 'on', true)`);
  const rows = await q.query<{ count: number }>(
    `WITH changed AS (
       UPDATE mcp_events SET
         user_id = CASE WHEN user_id = $1 THEN NULL ELSE user_id END,
         actor_id = CASE WHEN actor_id = $1 THEN $2::uuid ELSE actor_id END,
         ip_address = CASE WHEN actor_id IS NULL OR actor_id = $1 THEN NULL ELSE ip_address END,
         user_agent = CASE WHEN actor_id IS NULL OR actor_id = $1 THEN NULL ELSE user_agent END,
         event_data = CASE WHEN user_id = $1 THEN (
           SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(event_data)
           WHERE key = ANY($3) AND jsonb_typeof(value) IN ('string', 'number', 'boolean')) ELSE event_data END
       WHERE user_id = $1 OR actor_id = $1 RETURNING 1
     ) SELECT count(*) AS count FROM changed`,
    [userId, pseudonym, impersonal],
  );
  return rows[0]?.count ?? 0;
}

/** Deletes the rows themselves. Under the same transaction as forgetInEvents. @returns how many instances there were */
export async function deleteUserRows(q: Queryable, userId: string): Promise<number> {
  const rows = await q.query('DELETE FROM mcp_instances WHERE user_id = $1 RETURNING 1', [userId]);
  await q.query('DELETE FROM users WHERE id = $1', [userId]);
  return rows.length;
}
