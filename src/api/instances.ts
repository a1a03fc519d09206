// Instances: asking for one, finding them, and what may be done to them. Every change goes through the manager; what is
// answered is read again under the caller's rights. 202 says that something is under way, 200 and 201 that it is done.
import type { z } from 'zod';
import { Fault } from '../base/errors.ts';
import {
  type InstanceViewRow,
  listInstanceViews,
  readInstanceView,
  readRemovedView,
} from '../db/queries/instance-views.ts';
import { type Instance, isAtWork } from '../domain/instance.ts';
import {
  createInstanceSchema,
  dataOf,
  durationSchema,
  type InstanceView,
  instanceQuerySchema,
  instanceSchema,
  instanceWithTokenSchema,
  listOf,
  optionalDurationSchema,
} from './contract.ts';
import { type Call, idParams, nothing, operation } from './operation.ts';
import { answerList, cursorOf, pageOf, readCursor, timeKey } from './paging.ts';
import { waitIfPreferred } from './prefer.ts';
import { instanceView } from './views.ts';

type AnyCall = Call<unknown, unknown, unknown>;

/** The instance as the caller may see it; not_found when it is not there or not theirs. */
export async function requireInstance(call: AnyCall, id: string): Promise<InstanceViewRow> {
  const row = await call.api.db.as(call.principal, (tx) => readInstanceView(tx, id, call.viewerId));
  if (row === undefined) throw new Fault('not_found', `there is no instance ${id} that you may see`);
  return row;
}

export const listInstances = operation({
  id: 'listInstances',
  summary: 'Instances, newest first; those whose lease is over only on request',
  query: instanceQuerySchema,
  answers: { 200: listOf(instanceSchema) },
  async handle(call) {
    const { limit, cursor, status, mcp_type: typeName, user_id: userId, include_ended: ended } = call.query;
    const key = readCursor(cursor, timeKey);
    const rows = await call.api.db.as(call.principal, (tx) =>
      listInstanceViews(tx, {
        viewerId: call.viewerId,
        userId,
        status,
        typeName,
        includeEnded: ended ?? false,
        after: key === null ? null : { sortKey: key[0], id: key[1] },
        limit: limit + 1,
      }),
    );
    const page = pageOf(rows, limit, {
      view: instanceView,
      cursor: (row) => cursorOf(row.sort_key, row.id),
    });
    return answerList(call, page, page.data[0]?.server_time);
  },
});

export const getInstance = operation({
  id: 'getInstance',
  summary: 'One instance',
  params: idParams,
  answers: { 200: dataOf(instanceSchema) },
  handle: async (call) => ({ data: instanceView(await requireInstance(call, call.params.id)) }),
});

export const createInstance = operation({
  id: 'createInstance',
  summary: 'Asks for an instance. The access token is in this answer and nowhere else',
  body: createInstanceSchema,
  waits: true,
  answers: { 201: dataOf(instanceWithTokenSchema) },
  async handle(call) {
    const { mcp_type: typeName, duration_minutes: minutes, name, config } = call.body;
    const { instance, accessToken } = await call.api.manager.create(call.actor, {
      typeName,
      minutes,
      name,
      config,
    });
    await waitIfPreferred(call, instance.id);
    call.reply.header('location', `/api/v1/instances/${instance.id}`);
    const row = await requireInstance(call, instance.id);
    return { data: { ...instanceView(row), access_token: accessToken } };
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
    return { data: instanceView(found.view) };
  },
});

/** An operation that moves one instance on: does it, waits if that is preferred, and answers with the instance. */
function action<Body extends z.ZodType>(spec: {
  readonly id: string;
  readonly summary: string;
  readonly body: Body;
  act(call: AnyCall, id: string, body: z.output<Body>): Promise<Instance>;
}) {
  return operation({
    id: spec.id,
    summary: spec.summary,
    params: idParams,
    body: spec.body,
    waits: true,
    answers: { 200: dataOf(instanceSchema), 202: dataOf(instanceSchema) },
    async handle(call) {
      const { id } = call.params;
      await spec.act(call, id, call.body as z.output<Body>);
      await waitIfPreferred(call, id);
      return answerUnderWay(call, instanceView(await requireInstance(call, id)));
    },
  });
}

function answerUnderWay(call: AnyCall, instance: InstanceView): { data: InstanceView } {
  const underWay = isAtWork(instance.status) && instance.status !== 'running';
  call.reply.code(underWay ? 202 : 200);
  return { data: instance };
}

export const stopInstance = action({
  id: 'stopInstance',
  summary: 'Ends the processes and keeps the lease',
  body: nothing,
  act: (call, id) => call.api.manager.stop(call.actor, id),
});

export const restartInstance = action({
  id: 'restartInstance',
  summary: 'Ends the processes and starts them again',
  body: nothing,
  act: (call, id) => call.api.manager.restart(call.actor, id),
});

export const restoreInstance = action({
  id: 'restoreInstance',
  summary: 'Starts again what is not running, within its lease',
  body: nothing,
  act: (call, id) => call.api.manager.restore(call.actor, id),
});

export const renewInstance = action({
  id: 'renewInstance',
  summary: 'A new lease on the same instance and URL',
  body: optionalDurationSchema.nullish(),
  act: (call, id, body) => call.api.manager.renew(call.actor, id, body?.duration_minutes),
});

export const extendInstance = action({
  id: 'extendInstance',
  summary: 'Moves the end of the lease: counted from now, never earlier than it was, capped',
  body: durationSchema,
  act: (call, id, body) => call.api.manager.extend(call.actor, id, body.duration_minutes),
});

export const newAccessToken = operation({
  id: 'newAccessToken',
  summary: 'A new access token; the old one stops working at once',
  params: idParams,
  body: nothing,
  answers: { 200: dataOf(instanceWithTokenSchema) },
  async handle(call) {
    const { id } = call.params;
    const { accessToken } = await call.api.manager.newToken(call.actor, id);
    return { data: { ...instanceView(await requireInstance(call, id)), access_token: accessToken } };
  },
});
