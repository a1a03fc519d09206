// Reads of instances for the API: the row beside the name of its type and the database's clock. Always called under
// db.as, so row-level security holds as well; `viewerId` is the application's own check. Nothing here changes a row.
import { z } from 'zod';
import { healths, isolationLevels, type Status, statuses, stopReasons } from '../../domain/instance.ts';
import type { Queryable } from '../pool.ts';

const json = z.record(z.string(), z.unknown());

const viewSchema = z.object({
  id: z.string(),
  user_id: z.string().nullable(),
  mcp_type: z.string(),
  process_id: z.number().nullable(),
  access_url: z.string(),
  assigned_port: z.number().nullable(),
  status: z.enum(statuses),
  expires_at: z.date(),
  config: json,
  error_message: z.string().nullable(),
  last_accessed: z.date().nullable(),
  stats: json,
  created_at: z.date(),
  name: z.string(),
  node_id: z.string(),
  generation: z.number(),
  stop_reason: z.enum(stopReasons).nullable(),
  exit_code: z.number().nullable(),
  health: z.enum(healths),
  isolation: z.enum(isolationLevels).nullable(),
  started_at: z.date().nullable(),
  ready_at: z.date().nullable(),
  stopped_at: z.date().nullable(),
  restarts: z.number(),
  server_time: z.date(),
  // Dates of the driver lose microseconds; a cursor must not.
  sort_key: z.string(),
});
export type InstanceViewRow = z.infer<typeof viewSchema>;

/** What a list can be ordered by: the expression, and its values as text that loses nothing and can be read back. */
const sortColumns = {
  created_at: timeColumn('i.created_at'),
  expires_at: timeColumn('i.expires_at'),
  last_accessed: timeColumn(`coalesce(i.last_accessed, '-infinity')`),
  name: { sql: 'i.name', text: 'i.name::text', parse: (param: string) => param },
  status: { sql: 'i.status', text: 'i.status::text', parse: (param: string) => param },
  mcp_type: { sql: 't.name', text: 't.name::text', parse: (param: string) => param },
} as const;
export type SortColumn = keyof typeof sortColumns;

function timeColumn(sql: string) {
  const parse = (param: string): string => `${param}::timestamp AT TIME ZONE 'UTC'`;
  return { sql, text: `(${sql} AT TIME ZONE 'UTC')::text`, parse };
}

const selectBy = (
  by: SortColumn,
): string => `SELECT i.id, i.user_id, t.name AS mcp_type, i.process_id, i.access_url, i.assigned_port, i.status, i.expires_at,
  coalesce(i.config, '{}') AS config, i.error_message, i.last_accessed, coalesce(i.stats, '{}') AS stats, i.created_at,
  i.name, i.node_id, i.generation, i.stop_reason, i.exit_code, i.health, i.isolation, i.started_at, i.ready_at,
  i.stopped_at, i.restarts, clock_timestamp() AS server_time, ${sortColumns[by].text} AS sort_key
FROM mcp_instances i JOIN mcp_types t ON t.id = i.mcp_type_id`;
const select = selectBy('created_at');

export interface InstanceListOptions {
  /** Whose rows; null: everyone's. */
  readonly viewerId: string | null;
  readonly userId?: string | undefined;
  readonly status?: Status | undefined;
  readonly typeName?: string | undefined;
  readonly includeEnded: boolean;
  /** Part of the name, or the beginning of the id. */
  readonly search?: string | undefined;
  readonly sort?: { readonly by: SortColumn; readonly descending: boolean } | undefined;
  readonly after: { readonly sortKey: string; readonly id: string } | null;
  readonly limit: number;
}

/** A page of instances that are not removed, newest first unless said otherwise. */
export async function listInstanceViews(
  q: Queryable,
  options: InstanceListOptions,
): Promise<InstanceViewRow[]> {
  const params: unknown[] = [];
  const param = (value: unknown): string => `$${params.push(value)}`;
  const { by, descending } = options.sort ?? { by: 'created_at', descending: true };
  const column = sortColumns[by];
  const where = ['i.deleted_at IS NULL'];
  if (options.viewerId !== null) where.push(`i.user_id = ${param(options.viewerId)}`);
  if (options.userId !== undefined) where.push(`i.user_id = ${param(options.userId)}`);
  if (options.status !== undefined) where.push(`i.status = ${param(options.status)}`);
  else if (!options.includeEnded) where.push(`i.status <> 'expired'`);
  if (options.typeName !== undefined) where.push(`t.name = ${param(options.typeName)}`);
  if (options.search !== undefined) {
    const text = param(options.search.toLowerCase());
    where.push(`(strpos(i.name, ${text}) > 0 OR starts_with(i.id::text, ${text}))`);
  }
  if (options.after !== null) {
    const at = column.parse(param(options.after.sortKey));
    where.push(`(${column.sql}, i.id) ${descending ? '<' : '>'} (${at}, ${param(options.after.id)}::uuid)`);
  }
  const direction = descending ? 'DESC' : 'ASC';
  const rows = await q.query(
    `${selectBy(by)} WHERE ${where.join(' AND ')}
     ORDER BY ${column.sql} ${direction}, i.id ${direction} LIMIT ${param(options.limit)}`,
    params,
  );
  return rows.map((row) => viewSchema.parse(row));
}

/** One instance that is not removed. */
export async function readInstanceView(
  q: Queryable,
  id: string,
  viewerId: string | null,
): Promise<InstanceViewRow | undefined> {
  const rows = await q.query(
    `${select} WHERE i.id = $1 AND i.deleted_at IS NULL AND ($2::uuid IS NULL OR i.user_id = $2)`,
    [id, viewerId],
  );
  return rows[0] === undefined ? undefined : viewSchema.parse(rows[0]);
}

/** The same, also once it is removed: for the answer of the request that removed it. */
export async function readRemovedView(
  q: Queryable,
  id: string,
  viewerId: string | null,
): Promise<{ readonly removed: boolean; readonly view: InstanceViewRow } | undefined> {
  const rows = await q.query<{ removed: boolean }>(
    `SELECT view.*, i.deleted_at IS NOT NULL AS removed FROM (${select}) AS view JOIN mcp_instances i USING (id)
     WHERE i.id = $1 AND ($2::uuid IS NULL OR i.user_id = $2)`,
    [id, viewerId],
  );
  return rows[0] === undefined ? undefined : { removed: rows[0].removed, view: viewSchema.parse(rows[0]) };
}

/** How many instances that are not removed there are of each status and type. */
export async function countByStatusAndType(
  q: Queryable,
): Promise<{ status: string; mcp_type: string; count: number }[]> {
  return q.query(
    `SELECT i.status, t.name AS mcp_type, count(*) AS count FROM mcp_instances i JOIN mcp_types t ON t.id = i.mcp_type_id
     WHERE i.deleted_at IS NULL GROUP BY i.status, t.name`,
  );
}
