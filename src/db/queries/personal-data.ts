// Reads of everything that is held about one person, page by page in the order of ids, for the export. Called under
// db.as, so that row-level security holds as well. Hashes, sealed keys and handles are not read.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

export interface PersonalPage {
  readonly userId: string;
  readonly afterId: string | null;
  readonly limit: number;
}

const rowSchema = z.looseObject({ id: z.string() });
export type PersonalRow = z.infer<typeof rowSchema>;

async function page(
  q: Queryable,
  sql: string,
  { userId, afterId, limit }: PersonalPage,
): Promise<PersonalRow[]> {
  const rows = await q.query(sql, [userId, afterId, limit]);
  return rows.map((row) => rowSchema.parse(row));
}

/** The person's API tokens, also revoked ones. */
export function pageTokensOf(q: Queryable, wanted: PersonalPage): Promise<PersonalRow[]> {
  const sql = `SELECT id, name, prefix, scopes, allowed_cidrs::text[] AS allowed_cidrs, rate_limit_per_minute, expires_at,
      last_used_at, revoked_at, created_at
    FROM api_tokens WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3`;
  return page(q, sql, wanted);
}

/** The person's logins to the dashboard. */
export function pageSessionsOf(q: Queryable, wanted: PersonalPage): Promise<PersonalRow[]> {
  const sql = `SELECT id, token_id, created_at, last_used_at, expires_at FROM sessions
    WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3`;
  return page(q, sql, wanted);
}

/** The person's API keys, by hint. */
export function pageKeysOf(q: Queryable, wanted: PersonalPage): Promise<PersonalRow[]> {
  const sql = `SELECT k.id, t.name AS mcp_type, k.key_hint, k.is_active, k.created_at, k.updated_at, k.expires_at
    FROM api_keys k JOIN mcp_types t ON t.id = k.mcp_type_id
    WHERE k.user_id = $1 AND ($2::uuid IS NULL OR k.id > $2) ORDER BY k.id LIMIT $3`;
  return page(q, sql, wanted);
}

/** Every instance of the person that is still held, also removed ones. */
export function pageInstancesOf(q: Queryable, wanted: PersonalPage): Promise<PersonalRow[]> {
  const sql = `SELECT i.id, i.name, t.name AS mcp_type, i.status, i.stop_reason, i.health, i.error_message, i.exit_code,
      i.access_url, i.assigned_port, i.node_id, i.generation, i.restarts, i.isolation, i.config, i.stats, i.idle_minutes,
      i.created_at, i.lease_started_at, i.started_at, i.ready_at, i.stopped_at, i.last_accessed, i.expires_at, i.deleted_at
    FROM mcp_instances i JOIN mcp_types t ON t.id = i.mcp_type_id
    WHERE i.user_id = $1 AND ($2::uuid IS NULL OR i.id > $2) ORDER BY i.id LIMIT $3`;
  return page(q, sql, wanted);
}
