// What may be done to an instance that is there: stop, restart, restore, renew, extend, a new token. Each does it, waits if
// that is preferred, and answers with the instance: 202 while something is under way, 200 when it is not.
import type { z } from 'zod';
import { type Instance, isAtWork } from '../domain/instance.ts';
import {
  dataOf,
  durationSchema,
  type InstanceView,
  instanceSchema,
  instanceWithTokenSchema,
  optionalDurationSchema,
} from './contract.ts';
import { requireInstance, viewOf } from './instances.ts';
import { type Call, idParams, nothing, operation } from './operation.ts';
import { waitIfPreferred } from './prefer.ts';

type AnyCall = Call<unknown, unknown, unknown>;

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
      return answerUnderWay(call, viewOf(call, await requireInstance(call, id)));
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
    return { data: { ...viewOf(call, await requireInstance(call, id)), access_token: accessToken } };
  },
});
