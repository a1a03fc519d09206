// Statements on mcp_logs: reading by page, forward, and from a row on; and the COPY that stores. Reads take any
// Queryable, so that the API runs them under row-level security. Nothing here changes a stored line.
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { z } from 'zod';
import type { Queryable, Tx } from '../pool.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];
export const logSources = ['process', 'system', 'api'] as const;
export type LogSource = (typeof logSources)[number];

const rowSchema = z.object({
  id: z.string(),
  timestamp: z.date(),
  level: z.enum(logLevels),
  source: z.enum(logSources),
  seq: z.number(),
  message: z.string(),
  metadata: z.record(z.string(), z.unknown()),
  // Dates of the driver lose microseconds; a cursor must not.
  sort_key: z.string(),
});
export type LogRow = z.infer<typeof rowSchema>;

export interface LogFilter {
  readonly instanceId: string;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** This level and above. */
  readonly level?: LogLevel | undefined;
  readonly source?: LogSource | undefined;
}

/** A place between two rows: that of the row it names. */
export interface LogPlace {
  readonly sortKey: string;
  readonly id: string;
}

const columns = `id, timestamp, level, source, seq, message, coalesce(metadata, '{}') AS metadata,
  (timestamp AT TIME ZONE 'UTC')::text AS sort_key`;

/** A page of lines, newest first. */
export function pageLogs(
  q: Queryable,
  options: LogFilter & { readonly after: LogPlace | null; readonly limit: number },
): Promise<LogRow[]> {
  return select(q, options, { place: options.after, limit: options.limit, newestFirst: true });
}

/** A page of lines, oldest first; for an export, page after page. */
export function scanLogs(
  q: Queryable,
  options: LogFilter & { readonly after: LogPlace | null; readonly limit: number },
): Promise<LogRow[]> {
  return select(q, options, { place: options.after, limit: options.limit, newestFirst: false });
}

async function select(
  q: Queryable,
  filter: LogFilter,
  page: { readonly place: LogPlace | null; readonly limit: number; readonly newestFirst: boolean },
): Promise<LogRow[]> {
  const params: unknown[] = [];
  const param = (value: unknown): string => `$${params.push(value)}`;
  const where = conditions(filter, param);
  if (page.place !== null) {
    const at = `(${param(page.place.sortKey)}::timestamp AT TIME ZONE 'UTC', ${param(page.place.id)}::uuid)`;
    where.push(`(timestamp, id) ${page.newestFirst ? '<' : '>'} ${at}`);
  }
  const order = page.newestFirst ? 'DESC' : 'ASC';
  const rows = await q.query(
    `SELECT ${columns} FROM mcp_logs WHERE ${where.join(' AND ')}
     ORDER BY timestamp ${order}, id ${order} LIMIT ${param(page.limit)}`,
    params,
  );
  return rows.map((row) => rowSchema.parse(row));
}

/** The most a stored line's own time may lie before the time it was stored, for readers by id; days. */
const storedWithinDays = 31;

/**
 * Lines stored after the one with this id, in the order they were stored: ids are UUIDv7, made when a line is stored,
 * so a line that waited long on a disk still comes after those a reader has seen.
 */
export async function logsStoredAfter(
  q: Queryable,
  options: LogFilter & { readonly afterId: string; readonly limit: number },
): Promise<LogRow[]> {
  const params: unknown[] = [];
  const param = (value: unknown): string => `$${params.push(value)}`;
  const where = conditions(options, param);
  const id = param(options.afterId);
  where.push(`id > ${id}::uuid`);
  // Spares the partitions that cannot hold such a line.
  const storedAt = new Date(Number.parseInt(options.afterId.replaceAll('-', '').slice(0, 12), 16));
  where.push(`timestamp > ${param(storedAt)}::timestamptz - interval '${storedWithinDays} days'`);
  const rows = await q.query(
    `SELECT ${columns} FROM mcp_logs WHERE ${where.join(' AND ')} ORDER BY id LIMIT ${param(options.limit)}`,
    params,
  );
  return rows.map((row) => rowSchema.parse(row));
}

function conditions(filter: LogFilter, param: (value: unknown) => string): string[] {
  const where = [`mcp_instance_id = ${param(filter.instanceId)}`];
  if (filter.since !== undefined) where.push(`timestamp >= ${param(filter.since)}`);
  if (filter.until !== undefined) where.push(`timestamp < ${param(filter.until)}`);
  if (filter.source !== undefined) where.push(`source = ${param(filter.source)}`);
  if (filter.level !== undefined && filter.level !== 'debug') {
    where.push(`level = ANY(${param(logLevels.slice(logLevels.indexOf(filter.level)))})`);
  }
  return where;
}

/** The id of the line of an instance that was stored last. */
export async function newestLogIdOf(q: Queryable, instanceId: string): Promise<string | undefined> {
  const rows = await q.query<{ id: string }>(
    'SELECT id FROM mcp_logs WHERE mcp_instance_id = $1 ORDER BY id DESC LIMIT 1',
    [instanceId],
  );
  return rows[0]?.id;
}

/** About the largest id there is: that of the newest lines of all instances. */
export async function newestLogId(q: Queryable): Promise<string | undefined> {
  const rows = await q.query<{ id: string }>(
    'SELECT id FROM (SELECT id FROM mcp_logs ORDER BY timestamp DESC LIMIT 1000) AS newest ORDER BY id DESC LIMIT 1',
  );
  return rows[0]?.id;
}

/** Columns of the COPY, in the order rows are written in. */
const copied = 'id, mcp_instance_id, timestamp, level, source, message, metadata, seq';

/** Stores blocks of rows in the text format of COPY, each row ending in a newline. All of them or, with an error, none. */
export async function copyLogs(tx: Tx, chunks: Iterable<Buffer>): Promise<void> {
  await pipeline(chunks, tx.client.query(copyFrom(`COPY mcp_logs (${copied}) FROM STDIN`)));
}

/** Channel on which the ids of instances with new lines are announced. */
export const logChannel = 'minimcp_logs';

/** A notification carries at most 8000 bytes: this many ids, joined by commas. */
const idsPerNote = 200;

/** Announces, at commit, that these instances have new lines. */
export async function notifyLogs(q: Queryable, instanceIds: readonly string[]): Promise<void> {
  const notes: string[] = [];
  for (let at = 0; at < instanceIds.length; at += idsPerNote) {
    notes.push(instanceIds.slice(at, at + idsPerNote).join(','));
  }
  await q.query(`SELECT pg_notify('${logChannel}', note) FROM unnest($1::text[]) AS note`, [notes]);
}
