// API keys of the caller for upstream services. A key goes in and never comes out again; what is shown is its hint.
import { z } from 'zod';
import { nowMs } from '../base/clock.ts';
import { Fault, fieldFault } from '../base/errors.ts';
import { insertEvent } from '../db/queries/events.ts';
import {
  apiKeySchema,
  dataOf,
  listOf,
  listQuerySchema,
  putApiKeySchema,
  storedApiKeySchema,
} from './contract.ts';
import { type Call, operation } from './operation.ts';
import { answerList, pageWithin } from './paging.ts';
import { rollKey } from './roll-key.ts';
import { requireType } from './types.ts';
import { apiKeyView } from './views.ts';

const typeParams = z.object({ mcp_type: z.string().min(1).max(50) });

export const listKeys = operation({
  id: 'listApiKeys',
  summary: 'Your API keys, without the keys',
  query: listQuerySchema,
  answers: { 200: listOf(apiKeySchema) },
  async handle(call) {
    const keys = await call.api.vault.list(call.caller.userId);
    return answerList(call, pageWithin(keys, call.query, { view: apiKeyView, name: (key) => key.mcp_type }));
  },
});

export const putKey = operation({
  id: 'putApiKey',
  summary: 'Stores or replaces your API key for a server type; with roll, running instances change to it',
  params: typeParams,
  body: putApiKeySchema,
  answers: { 200: dataOf(storedApiKeySchema) },
  async handle(call) {
    const type = await requireType(call.api, call.params.mcp_type, call.viewerId === null);
    if (type.key_variable === null) {
      throw fieldFault('invalid_field', '/api_key', `server type "${type.name}" takes no API key`);
    }
    const { api_key: plaintext, expires_at: end } = call.body;
    const expiresAt = end == null ? null : new Date(end);
    if (expiresAt !== null && expiresAt.getTime() <= nowMs()) {
      throw fieldFault('invalid_field', '/expires_at', 'expires_at must lie ahead');
    }
    const key = await call.api.vault.put(call.caller.userId, type.id, type.name, plaintext, expiresAt);
    await noteKey(call, 'api_key_stored', type.name);
    if (call.body.roll !== true) return { data: apiKeyView(key) };
    return { data: { ...apiKeyView(key), roll: await rollKey(call, type) } };
  },
});

export const removeKey = operation({
  id: 'removeApiKey',
  summary: 'Removes your API key for a server type; running instances keep theirs until they end',
  params: typeParams,
  answers: { 204: null },
  async handle(call) {
    const type = await requireType(call.api, call.params.mcp_type, true);
    if (!(await call.api.vault.remove(call.caller.userId, type.id))) {
      throw new Fault('not_found', `you have stored no API key for "${type.name}"`);
    }
    await noteKey(call, 'api_key_removed', type.name);
  },
});

function noteKey(call: Call<unknown, unknown, unknown>, event: string, typeName: string): Promise<void> {
  return insertEvent(call.api.db, {
    instanceId: null,
    userId: call.caller.userId,
    actorId: call.caller.userId,
    type: event,
    data: { mcp_type: typeName },
    ip: call.actor.ip,
    userAgent: call.actor.userAgent,
  });
}
