// Reads of mcp_events, newest first. Called under db.as, so row-level security decides what is there; `viewerId` is the
// application's own check.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const rowSchema = z.object({
  id: z.string(),
  mcp_instance_id: z.string().nullable(),
  user_id: z.string().nullable(),
  actor_id: z.string().nullable(),
  event_type: z.string(),
  event_data: z.record(z.string(), z.unknown()),
  ip_address: z.string().nullable(),
  user_agent: z.string().nullable(),
  created_at: z.date(),
  sort_key: z.string(),
});
export type EventRow = z.infer<typeof rowSchema>;

export interface EventListOptions {
  /** Whose events; null: everyone's. */
  readonly viewerId: string | null;
  readonly instanceId?: string | undefined;
  readonly userId?: string | undefined;
  /** Who did it. */
  readonly actorId?: string | undefined;
  /** Leaves out what is about this person. */
  readonly notOfUserId?: string | undefined;
  readonly type?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly after: { readonly sortKey: string; readonly id: string } | null;
  readonly limit: number;
}

export async function listEvents(q: Queryable, options: EventListOptions): Promise<EventRow[]> {
  const params: unknown[] = [];
  const param = (value: unknown): string => `$${params.push(value)}`;
  const where: string[] = [];
  if (options.viewerId !== null) where.push(`user_id = ${param(options.viewerId)}`);
  if (options.instanceId !== undefined) where.push(`mcp_instance_id = ${param(options.instanceId)}`);
  if (options.userId !== undefined) where.push(`user_id = ${param(options.userId)}`);
  if (options.actorId !== undefined) where.push(`actor_id = ${param(options.actorId)}`);
  if (options.notOfUserId !== undefined) where.push(`user_id IS DISTINCT FROM ${param(options.notOfUserId)}`);
  if (options.type !== undefined) where.push(`event_type = ${param(options.type)}`);
  if (options.since !== undefined) where.push(`created_at >= ${param(options.since)}`);
  if (options.until !== undefined) where.push(`created_at < ${param(options.until)}`);
  if (options.after !== null) {
    const at = param(options.after.sortKey);
    where.push(`(created_at, id) < (${at}::timestamp AT TIME ZONE 'UTC', ${param(options.after.id)}::uuid)`);
  }
  const rows = await q.query(
    `SELECT id, mcp_instance_id, user_id, actor_id, event_type, coalesce(event_data, '{}') AS event_data,
       host(ip_address) AS ip_address, user_agent, created_at, (created_at AT TIME ZONE 'UTC')::text AS sort_key
     FROM mcp_events ${where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`}
     ORDER BY created_at DESC, id DESC LIMIT ${param(options.limit)}`,
    params,
  );
  return rows.map((row) => rowSchema.parse(row));
}
