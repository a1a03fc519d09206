// What is held about one person, as one stream of NDJSON: a line says what it is in `kind` and holds it in `data`; the
// last one is `end`, so that an export that was cut off can be told from a whole one. Secrets are not in it. And the
// erasure of a person.
import { Readable } from 'node:stream';
import { z } from 'zod';
import { allows } from '../accounts/authenticate.ts';
import { nowMs } from '../base/clock.ts';
import type { Tx } from '../db/pool.ts';
import { type EventRow, listEvents } from '../db/queries/event-views.ts';
import { type LogFinds, type LogPlace, scanLogs } from '../db/queries/log-looks.ts';
import {
  type PersonalPage,
  type PersonalRow,
  pageInstancesOf,
  pageKeysOf,
  pageSessionsOf,
  pageTokensOf,
} from '../db/queries/personal-data.ts';
import { pageUsage } from '../db/queries/usage.ts';
import type { Scope } from '../domain/scopes.ts';
import { dataOf } from './contract.ts';
import { lineView } from './logs.ts';
import { type Call, idParams, operation } from './operation.ts';
import { eventView, userView } from './views.ts';

type Reader = Call<unknown, unknown, unknown>;
interface Line {
  readonly kind: string;
  readonly data: unknown;
}

const pageRows = 500;
const answer = { contentType: 'application/x-ndjson', description: 'NDJSON: kind and data in each line' };

export const exportUser = operation({
  id: 'exportUser',
  summary: 'Everything held about a user, without secrets, as NDJSON; streamed, of any size',
  params: idParams,
  streams: true,
  answers: { 200: answer },
  handle: (call) => exportOf(call, call.params.id),
});

export const exportMe = operation({
  id: 'exportMe',
  summary:
    'Everything held about you that the token may read, without secrets, as NDJSON; streamed, of any size',
  streams: true,
  answers: { 200: answer },
  handle: (call) => exportOf(call, call.caller.userId),
});

export const eraseUser = operation({
  id: 'eraseUser',
  summary:
    'Forgets a user: instances, keys, tokens, logs; the audit trail stays without them. 204 when all is gone, 202 while it is going',
  params: idParams,
  answers: { 204: null, 202: dataOf(z.object({ id: z.uuid(), erased: z.boolean() })) },
  async handle({ api, params, actor, reply }) {
    const isErased = (await api.accounts.eraseUser(actor, params.id)) === 'erased';
    reply.code(isErased ? 204 : 202);
    return isErased ? undefined : { data: { id: params.id, erased: false } };
  },
});

async function exportOf(call: Reader, userId: string): Promise<Readable> {
  const user = userView(await call.api.accounts.readUser(call.principal, userId));
  call.reply
    .type('application/x-ndjson')
    .header('content-disposition', `attachment; filename="minimcp-${userId}.ndjson"`);
  const lines = exported(call, userId, { kind: 'user', data: user });
  return Readable.from(encoded(lines), { objectMode: false });
}

/** Each part with the scope that reads it elsewhere. */
const parts: readonly (readonly [
  kind: string,
  scope: Scope,
  of: (call: Reader, userId: string) => AsyncIterable<Line>,
])[] = [
  ['api_token', 'tokens:write', rowsOf('api_token', pageTokensOf)],
  ['session', 'tokens:write', rowsOf('session', pageSessionsOf)],
  ['api_key', 'keys:read', rowsOf('api_key', pageKeysOf)],
  ['instance', 'instances:read', rowsOf('instance', pageInstancesOf)],
  ['usage', 'instances:read', usage],
  ['event', 'instances:read', events],
  ['log', 'instances:read', logs],
];

async function* exported(call: Reader, userId: string, first: Line): AsyncGenerator<Line> {
  const counts: Record<string, number> = {};
  const omitted: { kind: string; scope: Scope }[] = [];
  yield { kind: 'export', data: { user_id: userId, made_at: new Date(nowMs()).toISOString() } };
  yield first;
  for (const [kind, scope, read] of parts) {
    if (!allows(call.caller, scope)) {
      omitted.push({ kind, scope });
      continue;
    }
    counts[kind] = 0;
    for await (const line of read(call, userId)) {
      if (call.signal.aborted) return;
      counts[kind] += 1;
      yield line;
    }
  }
  yield { kind: 'end', data: { counts, omitted } };
}

/** Lines to text, many to a chunk: what is written is what was read at once, and nothing waits behind it. */
async function* encoded(lines: AsyncIterable<Line>): AsyncGenerator<string> {
  let text = '';
  for await (const line of lines) {
    text += `${JSON.stringify(line)}\n`;
    if (text.length < 65_536) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
}

function rowsOf(kind: string, read: (tx: Tx, page: PersonalPage) => Promise<PersonalRow[]>) {
  return async function* (call: Reader, userId: string): AsyncGenerator<Line> {
    for (let afterId: string | null = null; ; ) {
      const page = { userId, afterId, limit: pageRows };
      const rows: readonly PersonalRow[] = await call.api.db.as(call.principal, (tx) => read(tx, page));
      for (const data of rows) yield { kind, data };
      afterId = rows.at(-1)?.id ?? null;
      if (rows.length < pageRows) return;
    }
  };
}

/** What is about the person, and then what they did to what is not theirs. */
async function* events(call: Reader, userId: string): AsyncGenerator<Line> {
  for (const which of [{ userId }, { actorId: userId, notOfUserId: userId }]) {
    for (let after: { sortKey: string; id: string } | null = null; ; ) {
      const page = { ...which, viewerId: call.viewerId, after, limit: pageRows };
      const rows: readonly EventRow[] = await call.api.db.as(call.principal, (tx) => listEvents(tx, page));
      for (const row of rows) yield { kind: 'event', data: eventView(row) };
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageRows) break;
      after = { sortKey: last.sort_key, id: last.id };
    }
  }
}

async function* usage(call: Reader, userId: string): AsyncGenerator<Line> {
  for await (const { data } of rowsOf('instance', pageInstancesOf)(call, userId)) {
    const { id: instanceId } = data as PersonalRow;
    for (let after: Date | null = null; ; ) {
      const page = { instanceId, after, limit: pageRows };
      const rows: Awaited<ReturnType<typeof pageUsage>> = await call.api.db.as(call.principal, (tx) =>
        pageUsage(tx, page),
      );
      for (const row of rows) yield { kind: 'usage', data: { mcp_instance_id: instanceId, ...row } };
      after = rows.at(-1)?.at ?? null;
      if (rows.length < pageRows) break;
    }
  }
}

async function* logs(call: Reader, userId: string): AsyncGenerator<Line> {
  for await (const { data } of rowsOf('instance', pageInstancesOf)(call, userId)) {
    const { id: instanceId } = data as PersonalRow;
    for (let after: LogPlace | null = null; ; ) {
      const page = { instanceId, after, limit: pageRows };
      const found: LogFinds = await call.api.db.as(call.principal, (tx) => scanLogs(tx, page));
      for (const row of found.rows) {
        yield { kind: 'log', data: { mcp_instance_id: instanceId, ...lineView(row) } };
      }
      if (!found.more) break;
      after = found.seen;
    }
  }
}
