// Log lines of one instance: a page newest first, a stream that goes on, an export of any size. The instance is looked
// up under the caller's rights before a line is read.
import { Readable } from 'node:stream';
import { z } from 'zod';
import { type LogFilter, type LogFinds, type LogPlace, pageLogs, scanLogs } from '../db/queries/log-looks.ts';
import type { LogRow } from '../db/queries/logs.ts';
import { findLines } from '../logs/find.ts';
import { type LogLineView, listOf, logLineSchema, logQuerySchema } from './contract.ts';
import { refuseEmptySpan } from './events.ts';
import { requireInstance } from './instances.ts';
import { csvHead, csvOf } from './log-formats.ts';
import { openStream } from './open-stream.ts';
import { type Call, idParams, operation } from './operation.ts';
import { answerList, cursorOf, readCursor, timeKey } from './paging.ts';
import type { SseEvent } from './streams.ts';

const filterSchema = logQuerySchema.omit({ limit: true, cursor: true });
type FilterQuery = z.output<typeof filterSchema>;

function filterOf(instanceId: string, query: FilterQuery): LogFilter {
  refuseEmptySpan(query.since, query.until);
  return {
    instanceId,
    since: query.since === undefined ? undefined : new Date(query.since),
    until: query.until === undefined ? undefined : new Date(query.until),
    level: query.level,
    source: query.source,
    contains: query.q,
  };
}

export function lineView(row: LogRow): LogLineView {
  return {
    id: row.id,
    timestamp: row.timestamp.toISOString(),
    level: row.level,
    source: row.source,
    seq: row.seq,
    message: row.message,
    metadata: row.metadata,
  };
}

export const listLogs = operation({
  id: 'listInstanceLogs',
  summary: 'Log lines, newest first; a page of a search may be short, or empty, and still have a next_cursor',
  params: idParams,
  query: logQuerySchema,
  answers: { 200: listOf(logLineSchema) },
  async handle(call) {
    const { limit, cursor, ...rest } = call.query;
    const filter = filterOf(call.params.id, rest);
    const key = readCursor(cursor, timeKey);
    const after = key === null ? null : { sortKey: key[0], id: key[1] };
    await requireInstance(call, call.params.id);
    const { rows, next } = await findLines({
      ...{ after, limit, signal: call.signal },
      look: (from, max) =>
        call.api.db.as(call.principal, (tx) => pageLogs(tx, { ...filter, after: from, limit: max })),
    });
    const nextCursor = next === null ? null : cursorOf(next.sortKey, next.id);
    return answerList(call, { data: rows.map(lineView), nextCursor });
  },
});

export const streamLogs = operation({
  id: 'streamInstanceLogs',
  summary:
    'Server-sent events, a log line each: what there is since a time, or from now on, or after Last-Event-ID',
  params: idParams,
  query: filterSchema,
  streams: true,
  resumes: true,
  answers: { 200: { contentType: 'text/event-stream', description: 'A log line in each data field' } },
  async handle(call) {
    const { principal, params, request } = call;
    const filter = filterOf(params.id, call.query);
    const afterId = lastEventId(request.headers['last-event-id']);
    await requireInstance(call, params.id);
    return openStream(call, (signal) =>
      eventsOf(call.api.logs.follow({ principal, afterId, filter, signal })),
    );
  },
});

async function* eventsOf(rows: AsyncIterable<LogRow>): AsyncGenerator<SseEvent> {
  for await (const row of rows) yield { id: row.id, data: lineView(row) };
}

/** The id of the last line a reader has seen. One we never gave counts as none, as it does for browsers. */
function lastEventId(header: string | readonly string[] | undefined): string | null {
  return z.uuid().safeParse(header).data ?? null;
}

const exportPage = 1_000;

export const exportLogs = operation({
  id: 'exportInstanceLogs',
  summary: 'Every log line that matches, oldest first, as NDJSON or CSV; streamed, of any size',
  params: idParams,
  query: filterSchema.extend({ format: z.enum(['ndjson', 'csv']).default('ndjson') }),
  streams: true,
  answers: { 200: { contentType: 'application/x-ndjson', description: 'NDJSON, or text/csv (RFC 4180)' } },
  async handle(call) {
    const { format, ...rest } = call.query;
    const filter = filterOf(call.params.id, rest);
    const instance = await requireInstance(call, call.params.id);
    call.reply
      .type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
      .header('content-disposition', `attachment; filename="${instance.name}-logs.${format}"`);
    return Readable.from(exported(call, filter, format));
  },
});

/** One page at a time, each asked for when the last one is on its way: memory does not grow with the log. */
async function* exported(
  call: Call<unknown, unknown, unknown>,
  filter: LogFilter,
  format: 'ndjson' | 'csv',
): AsyncGenerator<string> {
  if (format === 'csv') yield csvHead;
  for (let after: LogPlace | null = null; !call.signal.aborted; ) {
    const found: LogFinds = await call.api.db.as(call.principal, (tx) =>
      scanLogs(tx, { ...filter, after, limit: exportPage }),
    );
    const lines = found.rows.map(lineView);
    if (lines.length > 0) {
      yield lines.map((line) => (format === 'csv' ? csvOf(line) : `${JSON.stringify(line)}\n`)).join('');
    }
    if (!found.more) return;
    after = found.seen;
  }
}
