// Reading mcp_logs: by page, forward, and from a line on. One statement looks at a bounded number of lines and says where
// it stopped, so that a search for what is rare, or not there at all, holds nobody up. Any Queryable will do: the API
// reads under row-level security.
import type { Queryable } from '../pool.ts';
import { type LogLevel, type LogRow, type LogSource, logLevels, logRowSchema } from './logs.ts';

export interface LogFilter {
  readonly instanceId: string;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** This level and above. */
  readonly level?: LogLevel | undefined;
  readonly source?: LogSource | undefined;
  /** Part of the message, literally, upper and lower case alike (by the rules of the database). */
  readonly contains?: string | undefined;
}

/** A place between two rows: that of the row it names. */
export interface LogPlace {
  readonly sortKey: string;
  readonly id: string;
}

/** What one statement found. */
export interface LogFinds {
  readonly rows: LogRow[];
  /** The last line it looked at, whether it matched or not; null: there was none. */
  readonly seen: LogPlace | null;
  /** Whether there may be more behind that. */
  readonly more: boolean;
}

/**
 * Lines one statement looks at when not every line matches: a search for what is not there ends after so many, and says
 * where. Tens of milliseconds.
 */
export const linesPerLook = 10_000;

const columns = `id, timestamp, level, source, seq, message, coalesce(metadata, '{}') AS metadata,
  (timestamp AT TIME ZONE 'UTC')::text AS sort_key, nth, matches`;

/**
 * For this transaction: lines come in the order of an index, always. Of a log that grew since its table was last analyzed
 * PostgreSQL believes that it is short, and would read and sort all of it for each page.
 */
const inOrderOfAnIndex = `SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)`;

/** A page of lines, newest first. */
export function pageLogs(
  q: Queryable,
  options: LogFilter & { readonly after: LogPlace | null; readonly limit: number },
): Promise<LogFinds> {
  return byTime(q, options, 'DESC');
}

/** A page of lines, oldest first; for an export, page after page. */
export function scanLogs(
  q: Queryable,
  options: LogFilter & { readonly after: LogPlace | null; readonly limit: number },
): Promise<LogFinds> {
  return byTime(q, options, 'ASC');
}

function byTime(
  q: Queryable,
  options: LogFilter & { readonly after: LogPlace | null; readonly limit: number },
  direction: 'ASC' | 'DESC',
): Promise<LogFinds> {
  const { after, limit } = options;
  return look(q, options, {
    limit,
    order: `timestamp ${direction}, id ${direction}`,
    from(param) {
      if (after === null) return [];
      const at = `(${param(after.sortKey)}::timestamp AT TIME ZONE 'UTC', ${param(after.id)}::uuid)`;
      return [`(timestamp, id) ${direction === 'DESC' ? '<' : '>'} ${at}`];
    },
  });
}

/** The most a stored line's own time may lie before the time it was stored, for readers by id; days. */
const storedWithinDays = 31;

/**
 * Lines stored after the one with this id, in the order they were stored: ids are UUIDv7, made when a line is stored,
 * so a line that waited long on a disk still comes after those a reader has seen.
 */
export function logsStoredAfter(
  q: Queryable,
  options: LogFilter & { readonly afterId: string; readonly limit: number },
): Promise<LogFinds> {
  const { afterId, limit } = options;
  return look(q, options, {
    limit,
    order: 'id',
    from(param) {
      // The second spares the partitions that cannot hold such a line.
      const storedAt = new Date(Number.parseInt(afterId.replaceAll('-', '').slice(0, 12), 16));
      return [
        `id > ${param(afterId)}::uuid`,
        `timestamp > ${param(storedAt)}::timestamptz - interval '${storedWithinDays} days'`,
      ];
    },
  });
}

type Param = (value: unknown) => string;

interface Look {
  readonly limit: number;
  readonly order: string;
  /** Where it begins, as conditions an index answers. */
  readonly from: (param: Param) => readonly string[];
}

/** One statement: lines in order from a place on, and of those the ones that match. */
async function look(q: Queryable, filter: LogFilter, { limit, order, from }: Look): Promise<LogFinds> {
  const params: unknown[] = [];
  const param: Param = (value) => `$${params.push(value)}`;
  const span = [...spanOf(filter, param), ...from(param)].join(' AND ');
  const match = matchOf(filter, param);
  const lines = (max: string): string =>
    `SELECT * FROM mcp_logs WHERE ${span} ORDER BY ${order} LIMIT ${max}`;
  // The last line comes along even when it does not match: it says where the next look begins.
  const looked =
    match === 'true'
      ? `SELECT *, 0 AS nth, true AS matches FROM (${lines(param(limit))}) AS line`
      : `SELECT *, ${match} AS matches FROM (
           SELECT *, row_number() OVER place AS nth, lead(id) OVER place IS NULL AS is_last
           FROM (${lines(String(linesPerLook))}) AS line WINDOW place AS (ORDER BY ${order})
         ) AS line WHERE (${match}) OR is_last ORDER BY ${order} LIMIT ${param(limit)}`;
  await q.query(inOrderOfAnIndex);
  const found = await q.query<{ matches: boolean; nth: number }>(
    `SELECT ${columns} FROM (${looked}) AS line ORDER BY ${order}`,
    params,
  );
  const rows = found.filter(({ matches }) => matches).map((row) => logRowSchema.parse(row));
  const last = found.at(-1);
  if (last === undefined) return { rows, seen: null, more: false };
  const { id, sort_key: sortKey } = logRowSchema.parse(last);
  return { rows, seen: { id, sortKey }, more: found.length === limit || last.nth === linesPerLook };
}

function spanOf(filter: LogFilter, param: Param): string[] {
  const span = [`mcp_instance_id = ${param(filter.instanceId)}`];
  if (filter.since !== undefined) span.push(`timestamp >= ${param(filter.since)}`);
  if (filter.until !== undefined) span.push(`timestamp < ${param(filter.until)}`);
  return span;
}

/** What a line has to be, whatever its place; "true" when every line is wanted. */
function matchOf(filter: LogFilter, param: Param): string {
  const match: string[] = [];
  if (filter.source !== undefined) match.push(`source = ${param(filter.source)}`);
  if (filter.level !== undefined && filter.level !== 'debug') {
    match.push(`level = ANY(${param(logLevels.slice(logLevels.indexOf(filter.level)))})`);
  }
  // No pattern, so nothing in it means anything but itself.
  if (filter.contains !== undefined) {
    match.push(`strpos(lower(message), lower(${param(filter.contains)})) > 0`);
  }
  return match.length === 0 ? 'true' : match.join(' AND ');
}
