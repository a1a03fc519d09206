// Instances: asking for one, finding them, removing one. Every change goes through the manager; what is
// answered is read again under the caller's rights. 202 says that something is under way, 200 and 201 that it is done.
import { z } from 'zod';
import { Fault } from '../base/errors.ts';
import {
  type InstanceViewRow,
  listInstanceViews,
  readInstanceView,
  readRemovedView,
  type SortColumn,
} from '../db/queries/instance-views.ts';
import {
  createInstanceSchema,
  dataOf,
  type InstanceView,
  instanceQuerySchema,
  instanceSchema,
  instanceWithTokenSchema,
  listOf,
} from './contract.ts';
import { type Call, idParams, operation } from './operation.ts';
import { answerList, cursorOf, pageOf, readCursor, timeText } from './paging.ts';
import { waitIfPreferred } from './prefer.ts';
import { instanceView } from './views.ts';

type AnyCall = Call<unknown, unknown, unknown>;

/** The instance as the caller may see it; not_found when it is not there or not theirs. */
export async function requireInstance(call: AnyCall, id: string): Promise<InstanceViewRow> {
  const row = await call.api.db.as(call.principal, (tx) => readInstanceView(tx, id, call.viewerId));
  if (row === undefined) throw new Fault('not_found', `there is no instance ${id} that you may see`);
  return row;
}

const text = z.string().max(255);
const sortKeys = {
  ...{ created_at: timeText, expires_at: timeText, name: text, status: text, mcp_type: text },
  // Of those that nobody has used yet.
  last_accessed: z.union([timeText, z.literal('-infinity')]),
} as const;

/** An instance as the caller may see it, as it is answered. */
export const viewOf = (call: AnyCall, row: InstanceViewRow): InstanceView =>
  instanceView(row, call.api.manager.queuePosition(row.id));

export const listInstances = operation({
  id: 'listInstances',
  summary: 'Instances, newest first unless sorted; those whose lease is over only on request',
  query: instanceQuerySchema,
  answers: { 200: listOf(instanceSchema) },
  async handle(call) {
    const {
      limit,
      cursor,
      status,
      sort,
      mcp_type: typeName,
      user_id: userId,
      include_ended: ended,
    } = call.query;
    const by = sort.replace('-', '') as SortColumn;
    // A cursor goes on in the order it was made in, and in no other.
    const key = readCursor(cursor, z.tuple([z.literal(sort), sortKeys[by], z.uuid()]));
    const rows = await call.api.db.as(call.principal, (tx) =>
      listInstanceViews(tx, {
        viewerId: call.viewerId,
        userId,
        status,
        typeName,
        includeEnded: ended ?? false,
        search: call.query.q,
        sort: { by, descending: sort.startsWith('-') },
        after: key === null ? null : { sortKey: key[1], id: key[2] },
        limit: limit + 1,
      }),
    );
    const page = pageOf(rows, limit, {
      view: (row) => viewOf(call, row),
      cursor: (row) => cursorOf(sort, row.sort_key, row.id),
    });
    return answerList(call, page, page.data[0]?.server_time);
  },
});

export const getInstance = operation({
  id: 'getInstance',
  summary: 'One instance',
  params: idParams,
  answers: { 200: dataOf(instanceSchema) },
  handle: async (call) => ({ data: viewOf(call, await requireInstance(call, call.params.id)) }),
});

export const createInstance = operation({
  id: 'createInstance',
  summary: 'Asks for an instance. The access token is in this answer and nowhere else',
  body: createInstanceSchema,
  waits: true,
  answers: { 201: dataOf(instanceWithTokenSchema) },
  async handle(call) {
    const {
      mcp_type: typeName,
      duration_minutes: minutes,
      name,
      config,
      idle_minutes: idleMinutes,
    } = call.body;
    const { instance, accessToken } = await call.api.manager.create(call.actor, {
      typeName,
      minutes,
      name,
      config,
      idleMinutes,
    });
    await waitIfPreferred(call, instance.id);
    call.reply.header('location', `/api/v1/instances/${instance.id}`);
    const row = await requireInstance(call, instance.id);
    return { data: { ...viewOf(call, row), access_token: accessToken } };
  },
});

export const removeInstance = operation({
  id: 'removeInstance',
  summary: 'Ends an instance and removes it: 202 while it is ending, 204 when it is gone',
  params: idParams,
  waits: true,
  answers: { 204: null, 202: dataOf(instanceSchema) },
  async handle(call) {
    const { id } = call.params;
    await call.api.manager.remove(call.actor, id);
    await waitIfPreferred(call, id);
    const found = await call.api.db.as(call.principal, (tx) => readRemovedView(tx, id, call.viewerId));
    const isGone = found === undefined || found.removed;
    call.reply.code(isGone ? 204 : 202);
    if (isGone) return undefined;
    return { data: viewOf(call, found.view) };
  },
});
