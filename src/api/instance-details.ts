// What else can be read of one instance: its events, what it uses, and what to paste into a client.
import { z } from 'zod';
import { Fault } from '../base/errors.ts';
import { listEvents } from '../db/queries/event-views.ts';
import { clientConfig, clients } from '../domain/client-config.ts';
import { clientConfigSchema, dataOf, eventSchema, listOf, listQuerySchema, statsSchema } from './contract.ts';
import { requireInstance } from './instances.ts';
import { idParams, operation } from './operation.ts';
import { answerList, cursorOf, pageOf, readCursor, timeKey } from './paging.ts';
import { eventView, statsView } from './views.ts';

export const listInstanceEvents = operation({
  id: 'listInstanceEvents',
  summary: 'What happened to an instance, newest first',
  params: idParams,
  query: listQuerySchema,
  answers: { 200: listOf(eventSchema) },
  async handle(call) {
    const { id } = call.params;
    const { limit, cursor } = call.query;
    const key = readCursor(cursor, timeKey);
    await requireInstance(call, id);
    const rows = await call.api.db.as(call.principal, (tx) =>
      listEvents(tx, {
        viewerId: call.viewerId,
        instanceId: id,
        after: key === null ? null : { sortKey: key[0], id: key[1] },
        limit: limit + 1,
      }),
    );
    return answerList(
      call,
      pageOf(rows, limit, { view: eventView, cursor: (row) => cursorOf(row.sort_key, row.id) }),
    );
  },
});

export const getStats = operation({
  id: 'getInstanceStats',
  summary: 'What an instance uses, as the last health check found it',
  params: idParams,
  answers: { 200: dataOf(statsSchema) },
  handle: async (call) => ({ data: statsView(await requireInstance(call, call.params.id)) }),
});

export const getClientConfig = operation({
  id: 'getClientConfig',
  summary: 'Configuration to paste into a client; a placeholder stands where the access token belongs',
  params: idParams,
  query: z.strictObject({ client: z.enum(clients) }),
  answers: { 200: dataOf(clientConfigSchema) },
  async handle(call) {
    const instance = await requireInstance(call, call.params.id);
    if (instance.status === 'expired') {
      throw new Fault('lease_over', `the lease of "${instance.name}" is over; renew it first`);
    }
    return { data: clientConfig(call.query.client, { name: instance.name, url: instance.access_url }) };
  },
});
