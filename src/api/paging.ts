// Lists: pages by keyset, never by offset, with cursors that mean nothing to clients; and entity tags, so that a poll
// that finds nothing new costs no body.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { nowMs } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import type { Call } from './operation.ts';

/** Makes the cursor that continues after a row. */
export function cursorOf(...key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** Reads a cursor back; malformed_request for one this API did not make. */
export function readCursor<Key>(cursor: string | undefined, schema: z.ZodType<Key>): Key | null {
  if (cursor === undefined) return null;
  try {
    const parsed = schema.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    if (parsed.success) return parsed.data;
  } catch {
    // Not JSON: as wrong as the rest.
  }
  const message = 'not a cursor of this list; take next_cursor as it came';
  throw new Fault('malformed_request', message, { errors: [{ pointer: '/query/cursor', message }] });
}

/** A time with its microseconds, as PostgreSQL prints it in UTC. */
export const timeText = z.string().regex(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?$/);
/** Key of lists ordered by time: the time and the id. */
export const timeKey = z.tuple([timeText, z.uuid()]);
export const idKey = z.tuple([z.uuid()]);
export const nameKey = z.tuple([z.string().max(255)]);

export interface Page<View> {
  readonly data: View[];
  readonly nextCursor: string | null;
}

/** Cuts a page from rows of which one more was asked for than is shown. */
export function pageOf<Row, View>(
  rows: readonly Row[],
  limit: number,
  options: { readonly view: (row: Row) => View; readonly cursor: (row: Row) => string },
): Page<View> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    data: shown.map(options.view),
    nextCursor: rows.length > limit && last !== undefined ? options.cursor(last) : null,
  };
}

/** A page of a list that is small enough to be held whole: in its own order, continued after a name. */
export function pageWithin<Row, View>(
  rows: readonly Row[],
  query: { readonly limit: number; readonly cursor?: string | undefined },
  options: { readonly view: (row: Row) => View; readonly name: (row: Row) => string },
): Page<View> {
  const after = readCursor(query.cursor, nameKey)?.[0];
  const from = after === undefined ? 0 : rows.findIndex((row) => options.name(row) === after) + 1;
  return pageOf(rows.slice(from, from + query.limit + 1), query.limit, {
    view: options.view,
    cursor: (row) => cursorOf(options.name(row)),
  });
}

/**
 * Answers with a list, or with 304 when the caller has it already.
 * @param serverTime the database's clock where it was read along; default: this process's
 */
export function answerList<View>(
  call: Call<unknown, unknown, unknown>,
  page: Page<View>,
  serverTime: string = new Date(nowMs()).toISOString(),
): unknown {
  const answer = { data: page.data, meta: { next_cursor: page.nextCursor, server_time: serverTime } };
  return answerTagged(call, answer, 'private, no-cache');
}

/** Answers with a document, or with 304 when the caller has it already. */
export function answerTagged(
  call: Call<unknown, unknown, unknown>,
  answer: unknown,
  caching: string,
): unknown {
  const tag = `W/"${tagOf(answer)}"`;
  call.reply.header('etag', tag).header('cache-control', caching);
  const known = call.request.headers['if-none-match'];
  if (known !== undefined && (known === '*' || known.split(/\s*,\s*/).includes(tag))) {
    return call.reply.code(304).send();
  }
  return answer;
}

/** Two lists that differ only in when they were read are the same list. */
function tagOf(answer: unknown): string {
  const text = JSON.stringify(answer, (key, value: unknown) => (key === 'server_time' ? undefined : value));
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
