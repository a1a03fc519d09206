// Statements on mcp_instances that change it, and the reads those changes rest on. `transition` is the only writer of
// status. It refuses to write over a newer generation.
import { z } from 'zod';
import {
  healths,
  type Instance,
  isolationLevels,
  type Status,
  statuses,
  stopReasons,
} from '../../domain/instance.ts';
import type { Queryable } from '../pool.ts';

const json = z.record(z.string(), z.unknown());

const rowSchema = z.object({
  id: z.string(),
  user_id: z.string(),
  mcp_type_id: z.string(),
  api_key_id: z.string().nullable(),
  process_id: z.number().nullable(),
  access_token: z.string(),
  access_url: z.string(),
  assigned_port: z.number().nullable(),
  status: z.enum(statuses),
  expires_at: z.date(),
  config: json,
  error_message: z.string().nullable(),
  last_accessed: z.date().nullable(),
  stats: json,
  created_at: z.date(),
  updated_at: z.date(),
  deleted_at: z.date().nullable(),
  name: z.string(),
  node_id: z.string(),
  generation: z.number(),
  stop_reason: z.enum(stopReasons).nullable(),
  exit_code: z.number().nullable(),
  health: z.enum(healths),
  isolation: z.enum(isolationLevels).nullable(),
  handle: z.unknown(),
  lease_started_at: z.date(),
  warned_at: z.date().nullable(),
  started_at: z.date().nullable(),
  ready_at: z.date().nullable(),
  stopped_at: z.date().nullable(),
  restarts: z.number(),
  next_start_at: z.date().nullable(),
  idle_minutes: z.number().nullable(),
});

/** A row as read for a decision, with the facts only the database's clock can tell. */
export interface Timed {
  readonly row: Instance;
  readonly now: Date;
  readonly leaseOver: boolean;
}

const clock = 'clock_timestamp() AS db_now, expires_at <= clock_timestamp() AS lease_over';

function timed(raw: unknown): Timed {
  const { db_now: now, lease_over: leaseOver } = raw as { db_now: Date; lease_over: boolean };
  return { row: rowSchema.parse(raw) as Instance, now, leaseOver };
}

/** Locks the row until the transaction ends; log lines that refer to it are not kept waiting. */
export async function lockInstance(q: Queryable, id: string): Promise<Timed | undefined> {
  const rows = await q.query(`SELECT *, ${clock} FROM mcp_instances WHERE id = $1 FOR NO KEY UPDATE`, [id]);
  return rows[0] === undefined ? undefined : timed(rows[0]);
}

export async function readInstance(q: Queryable, id: string): Promise<Timed | undefined> {
  const rows = await q.query(`SELECT *, ${clock} FROM mcp_instances WHERE id = $1`, [id]);
  return rows[0] === undefined ? undefined : timed(rows[0]);
}

export interface NewInstance {
  readonly id: string;
  readonly user_id: string;
  readonly mcp_type_id: string;
  readonly api_key_id: string | null;
  readonly access_token: string;
  readonly access_url: string;
  readonly assigned_port: number;
  readonly config: Record<string, unknown>;
  readonly name: string;
  readonly node_id: string;
  readonly minutes: number;
  readonly idle_minutes: number | null;
}

/** Writes a new instance; its lease starts now, by the database's clock. */
export async function insertInstance(q: Queryable, instance: NewInstance): Promise<Instance> {
  const rows = await q.query(
    `INSERT INTO mcp_instances (id, user_id, mcp_type_id, api_key_id, access_token, access_url, assigned_port, config, name,
       node_id, expires_at, idle_minutes, health)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + $11 * interval '1 minute', $12, 'starting')
     RETURNING *`,
    [
      instance.id,
      instance.user_id,
      instance.mcp_type_id,
      instance.api_key_id,
      instance.access_token,
      instance.access_url,
      instance.assigned_port,
      instance.config,
      instance.name,
      instance.node_id,
      instance.minutes,
      instance.idle_minutes,
    ],
  );
  return rowSchema.parse(rows[0]) as Instance;
}

/** Columns a transition may set beside status; times are given as a word so that the database's clock decides them. */
export interface Patch {
  readonly generation?: number;
  readonly stop_reason?: string | null;
  readonly exit_code?: number | null;
  readonly error_message?: string | null;
  readonly health?: string;
  readonly process_id?: number | null;
  readonly assigned_port?: number | null;
  readonly access_url?: string;
  readonly handle?: unknown;
  readonly restarts?: number;
  readonly isolation?: string | null;
  readonly stats?: Record<string, unknown>;
  readonly expires_at?: Date;
  readonly warned_at?: null;
  readonly ready_at?: 'now' | null;
  readonly started_at?: 'now' | null;
  readonly stopped_at?: 'now' | null;
  readonly deleted_at?: 'now';
  readonly lease_started_at?: 'now';
  /** Milliseconds from now; null clears it. */
  readonly next_start_at?: number | null;
}

/**
 * The one statement that writes instances.status: compare-and-set on generation and status, and a notification to
 * whoever follows changes.
 * @returns the new row, or undefined when the row was no longer what `from` says
 */
export async function transition(
  q: Queryable,
  from: { readonly id: string; readonly generation: number; readonly status: Status },
  to: Status,
  patch: Patch,
): Promise<Instance | undefined> {
  const params: unknown[] = [from.id, from.generation, from.status, to];
  const sets = Object.entries(patch).map(([column, value]) => {
    if (value === 'now' && column.endsWith('_at')) return `${column} = clock_timestamp()`;
    params.push(column === 'handle' && value !== null ? JSON.stringify(value) : value);
    if (column === 'next_start_at')
      return `next_start_at = clock_timestamp() + $${params.length}::float8 * interval '1 millisecond'`;
    return `${column} = $${params.length}`;
  });
  const rows = await q.query(
    `WITH changed AS (
       UPDATE mcp_instances SET ${['status = $4', 'updated_at = clock_timestamp()', ...sets].join(', ')}
       WHERE id = $1 AND generation = $2 AND status = $3
       RETURNING *
     )
     SELECT changed.*, pg_notify('minimcp_changes', json_build_object('instance_id', id, 'user_id', user_id)::text) FROM changed`,
    params,
  );
  return rows[0] === undefined ? undefined : (rowSchema.parse(rows[0]) as Instance);
}

/** Remembers how to find the processes of a generation. */
export async function setHandle(
  q: Queryable,
  id: string,
  generation: number,
  handle: { readonly isolation: string },
): Promise<boolean> {
  const rows = await q.query(
    `UPDATE mcp_instances SET handle = $3, isolation = $4, started_at = coalesce(started_at, clock_timestamp())
     WHERE id = $1 AND generation = $2 AND status IN ('pending', 'running', 'stopping') RETURNING 1`,
    [id, generation, JSON.stringify(handle), handle.isolation],
  );
  return rows.length === 1;
}

/** Notes which API key a generation runs with; null: none, or one that has been removed. */
export async function setApiKey(
  q: Queryable,
  id: string,
  generation: number,
  apiKeyId: string | null,
): Promise<void> {
  await q.query(
    `UPDATE mcp_instances SET api_key_id = (SELECT id FROM api_keys WHERE id = $3)
     WHERE id = $1 AND generation = $2`,
    [id, generation, apiKeyId],
  );
}

export async function setAccessToken(q: Queryable, id: string, tokenSha256: string): Promise<void> {
  await q.query('UPDATE mcp_instances SET access_token = $2, updated_at = clock_timestamp() WHERE id = $1', [
    id,
    tokenSha256,
  ]);
}

/** Rows of a node in which processes may live. */
export async function listAtWork(q: Queryable, nodeId: string): Promise<Timed[]> {
  const rows = await q.query(
    `SELECT *, ${clock} FROM mcp_instances WHERE node_id = $1 AND status IN ('pending', 'running', 'stopping')`,
    [nodeId],
  );
  return rows.map(timed);
}

/** Instances of a node that sleep: their processes are stopped, their ports kept. */
export async function listAsleep(q: Queryable, nodeId: string): Promise<Instance[]> {
  const rows = await q.query(
    `SELECT * FROM mcp_instances WHERE node_id = $1 AND status = 'disconnected' AND assigned_port IS NOT NULL`,
    [nodeId],
  );
  return rows.map((row) => rowSchema.parse(row) as Instance);
}

/**
 * Rows that are over for good, within the last day, without the receipt that says so: the supervisor ended, or the
 * database was away, before their homes were wiped.
 */
export async function listUnwiped(q: Queryable, nodeId: string): Promise<Instance[]> {
  const rows = await q.query(
    `SELECT * FROM mcp_instances i
     WHERE node_id = $1 AND (status = 'expired' OR deleted_at IS NOT NULL AND status IN ('disconnected', 'error'))
       AND updated_at > clock_timestamp() - interval '1 day'
       AND NOT EXISTS (SELECT 1 FROM mcp_events e WHERE e.mcp_instance_id = i.id AND e.event_type = 'receipt'
         AND e.event_data->>'generation' = i.generation::text)
     LIMIT 500`,
    [nodeId],
  );
  return rows.map((row) => rowSchema.parse(row) as Instance);
}

/** Ids whose lease is over and whose status does not say so yet, oldest first. */
export async function listOverdue(q: Queryable, nodeId: string, limit: number): Promise<string[]> {
  const rows = await q.query<{ id: string }>(
    `SELECT id FROM mcp_instances
     WHERE node_id = $1 AND deleted_at IS NULL AND expires_at <= clock_timestamp()
       AND status IN ('pending', 'running', 'disconnected', 'error')
     ORDER BY expires_at LIMIT $2`,
    [nodeId, limit],
  );
  return rows.map((row) => row.id);
}

/** Of the leases of a node ($1) those that end within minutes ($2), or within their last fifth, with nobody warned. */
const unwarned = `node_id = $1 AND status IN ('pending', 'running') AND warned_at IS NULL
  AND expires_at > clock_timestamp()
  AND expires_at <= clock_timestamp() + least($2 * interval '1 minute', (expires_at - lease_started_at) / 5)`;

/** Whether a lease ends within `minutes`, or its last fifth has begun, and nobody is warned yet. */
export async function isWarningDue(q: Queryable, nodeId: string, minutes: number): Promise<boolean> {
  const [found] = await q.query<{ due: boolean }>(
    `SELECT EXISTS (SELECT FROM mcp_instances WHERE ${unwarned}) AS due`,
    [nodeId, minutes],
  );
  return found?.due === true;
}

/** Marks those as warned, once per end, and returns them. */
export async function takeWarnings(q: Queryable, nodeId: string, minutes: number): Promise<Instance[]> {
  const rows = await q.query(
    `UPDATE mcp_instances SET warned_at = clock_timestamp() WHERE ${unwarned} RETURNING *`,
    [nodeId, minutes],
  );
  return rows.map((row) => rowSchema.parse(row) as Instance);
}

/** How many instances count against a user's quota. The user's row must be locked by this transaction. */
export async function countAgainstQuota(q: Queryable, userId: string): Promise<number> {
  const rows = await q.query<{ count: number }>(
    `SELECT count(*) AS count FROM mcp_instances
     WHERE user_id = $1 AND deleted_at IS NULL
       AND (status IN ('pending', 'running', 'stopping') OR (status = 'disconnected' AND stop_reason = 'idle'))`,
    [userId],
  );
  return rows[0]?.count ?? 0;
}

/** Ids of a user's instances at work, for ending them all. */
export async function listAtWorkOf(q: Queryable, userId: string): Promise<string[]> {
  const rows = await q.query<{ id: string }>(
    `SELECT id FROM mcp_instances WHERE user_id = $1 AND status IN ('pending', 'running') AND deleted_at IS NULL`,
    [userId],
  );
  return rows.map((row) => row.id);
}

export interface Digest {
  readonly id: string;
  readonly generation: number;
  readonly health: string;
  /** What is wrong with it, for its owner; kept in error_message for as long as it is found again. */
  readonly problem: string | null;
  readonly stats: Record<string, unknown>;
  /** Milliseconds since a request was last in flight, or null. */
  readonly idle_ms: number | null;
}

/** Writes what a health sweep found, all instances in one statement, and the first of each minute as a sample. */
export async function writeDigests(q: Queryable, digests: readonly Digest[]): Promise<void> {
  await q.query(
    `WITH written AS (
       UPDATE mcp_instances SET health = d.health, error_message = d.problem, stats = mcp_instances.stats || d.stats,
         last_accessed = coalesce(clock_timestamp() - d.idle_ms * interval '1 millisecond', last_accessed)
       FROM jsonb_to_recordset($1::jsonb) AS d(id uuid, generation int, health text, stats jsonb, idle_ms float8,
         problem text)
       WHERE mcp_instances.id = d.id AND mcp_instances.generation = d.generation AND mcp_instances.status = 'running'
       RETURNING d.id, d.generation, d.stats
     )
     INSERT INTO instance_usage (instance_id, at, generation, cpu_percent, memory_bytes, requests, in_flight, sessions)
     SELECT id, date_trunc('minute', clock_timestamp()), generation, (stats->>'cpu_percent')::real,
       (stats->>'memory_bytes')::float8::bigint, coalesce((stats->>'requests')::bigint, 0),
       coalesce((stats->>'in_flight')::int, 0), coalesce((stats->>'sessions')::int, 0)
     FROM written WHERE stats ?| ARRAY['cpu_percent', 'requests']
     ON CONFLICT (instance_id, at) DO NOTHING`,
    [JSON.stringify(digests)],
  );
}

/** Deletes rows that have been at rest for longer than the retention; their logs and events go with them. */
export async function deleteRetired(
  q: Queryable,
  nodeId: string,
  days: number,
  limit: number,
): Promise<string[]> {
  const rows = await q.query<{ id: string }>(
    `DELETE FROM mcp_instances WHERE id IN (
       SELECT id FROM mcp_instances
       WHERE node_id = $1 AND status IN ('expired', 'disconnected', 'error')
         AND greatest(expires_at, stopped_at, deleted_at) < clock_timestamp() - $2 * interval '1 day'
       LIMIT $3)
     RETURNING id`,
    [nodeId, days, limit],
  );
  return rows.map((row) => row.id);
}
