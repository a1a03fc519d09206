// Statements that append to mcp_events, the audit trail. Nothing here changes or deletes one.
import { randomUUIDv7 } from 'node:crypto';
import type { Queryable } from '../pool.ts';

export interface NewEvent {
  readonly instanceId: string | null;
  /** Whose thing it is about. */
  readonly userId: string | null;
  /** Who did it; null: the supervisor. */
  readonly actorId: string | null;
  readonly type: string;
  readonly data?: Record<string, unknown>;
  readonly ip?: string | null;
  readonly userAgent?: string | null;
}

/**
 * Writes an event, and tells whoever follows changes that there is one, at the end of the transaction. That an instance is
 * new is told here; its other changes by the statement that makes them.
 */
export async function insertEvent(q: Queryable, event: NewEvent): Promise<void> {
  await q.query(
    `WITH written AS (
       INSERT INTO mcp_events (id, mcp_instance_id, user_id, actor_id, event_type, event_data, ip_address, user_agent)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING event_type, user_id, mcp_instance_id
     )
     SELECT pg_notify('minimcp_changes', json_build_object('event_type', event_type, 'user_id', user_id,
       'instance_id', CASE event_type WHEN 'created' THEN mcp_instance_id END)::text) FROM written`,
    [
      randomUUIDv7(),
      event.instanceId,
      event.userId,
      event.actorId,
      event.type,
      event.data ?? {},
      event.ip ?? null,
      event.userAgent?.slice(0, 500) ?? null,
    ],
  );
}

/** Whether the end for good of this generation has been told. */
export async function hasReceipt(q: Queryable, instanceId: string, generation: number): Promise<boolean> {
  const rows = await q.query(
    `SELECT 1 FROM mcp_events
     WHERE mcp_instance_id = $1 AND event_type = 'receipt' AND event_data->>'generation' = $2`,
    [instanceId, String(generation)],
  );
  return rows.length > 0;
}

/** Notes that a user was refused another creation, at most once a minute: a flood of wishes is no flood of rows. */
export async function insertCreationRefused(
  q: Queryable,
  refused: {
    readonly userId: string;
    readonly perHour: number;
    readonly ip: string | null;
    readonly userAgent: string | null;
  },
): Promise<void> {
  await q.query(
    `INSERT INTO mcp_events (id, user_id, actor_id, event_type, event_data, ip_address, user_agent)
     SELECT $1, $2, $2, 'creation_refused', jsonb_build_object('reason', 'rate', 'per_hour', $3::int), $4, $5
     WHERE NOT EXISTS (SELECT FROM mcp_events WHERE user_id = $2 AND event_type = 'creation_refused'
       AND created_at > clock_timestamp() - interval '1 minute')`,
    [randomUUIDv7(), refused.userId, refused.perHour, refused.ip, refused.userAgent?.slice(0, 500) ?? null],
  );
}
