// Machines, for admins: nodes, their ports, and the drain.
import { z } from 'zod';
import { insertEvent } from '../db/queries/events.ts';
import { listNodes } from '../db/queries/node-views.ts';
import { listPorts } from '../db/queries/port-views.ts';
import {
  dataOf,
  drainRequestSchema,
  drainSchema,
  listOf,
  listQuerySchema,
  nodeSchema,
  portSchema,
} from './contract.ts';
import { operation } from './operation.ts';
import { answerList, cursorOf, nameKey, pageOf, readCursor } from './paging.ts';
import { nodeView, portView } from './views.ts';

export const listNodePorts = operation({
  id: 'listPorts',
  summary: 'The port pools: who holds which, what is free, what is in quarantine',
  query: listQuerySchema.extend({
    node_id: z.string().max(255).optional(),
    is_available: z.stringbool().optional(),
  }),
  answers: { 200: listOf(portSchema) },
  async handle(call) {
    const { limit, cursor, node_id: nodeId, is_available: available } = call.query;
    const key = readCursor(cursor, z.tuple([z.string().max(255), z.int()]));
    const rows = await call.api.db.as(call.principal, (tx) =>
      listPorts(tx, {
        nodeId,
        available,
        after: key === null ? null : { nodeId: key[0], port: key[1] },
        limit: limit + 1,
      }),
    );
    return answerList(
      call,
      pageOf(rows, limit, { view: portView, cursor: (row) => cursorOf(row.node_id, row.port) }),
    );
  },
});

export const listAllNodes = operation({
  id: 'listNodes',
  summary: 'The machines of this installation',
  query: listQuerySchema,
  answers: { 200: listOf(nodeSchema) },
  async handle(call) {
    const { limit, cursor } = call.query;
    const rows = await call.api.db.as(call.principal, (tx) =>
      listNodes(tx, {
        afterId: readCursor(cursor, nameKey)?.[0] ?? null,
        limit: limit + 1,
      }),
    );
    return answerList(call, pageOf(rows, limit, { view: nodeView, cursor: (row) => cursorOf(row.id) }));
  },
});

export const drain = operation({
  id: 'drain',
  summary: 'This node takes no new work from now on; what runs goes on, or is ended and the daemon with it',
  body: drainRequestSchema.optional(),
  answers: { 202: dataOf(drainSchema) },
  async handle({ api, actor, body }) {
    const endInstances = body?.end_instances ?? false;
    await insertEvent(api.db, {
      instanceId: null,
      userId: null,
      actorId: actor.userId,
      type: 'drain_requested',
      data: { node_id: api.node.id, end_instances: endInstances },
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
    await api.requestDrain({ endInstances });
    return { data: { node_id: api.node.id, draining: true } };
  },
});
