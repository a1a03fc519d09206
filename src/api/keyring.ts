// Master keys, for admins: which there are, a new one, sealing everything again under it, taking an old one out. The
// keys themselves are never shown; every step is an event.
import { z } from 'zod';
import { insertEvent } from '../db/queries/events.ts';
import { listMasterKeys } from '../db/queries/node-views.ts';
import { dataOf, listOf, listQuerySchema, masterKeySchema } from './contract.ts';
import { type Call, nothing, operation } from './operation.ts';
import { answerList, pageWithin } from './paging.ts';
import { masterKeyView } from './views.ts';

export const listKeyring = operation({
  id: 'listKeyring',
  summary: 'Master keys by id and state, and how many API keys each has sealed',
  query: listQuerySchema,
  answers: { 200: listOf(masterKeySchema) },
  async handle(call) {
    const rows = await listMasterKeys(call.api.db);
    return answerList(call, pageWithin(rows, call.query, { view: masterKeyView, name: (row) => row.key_id }));
  },
});

export const addMasterKey = operation({
  id: 'addMasterKey',
  summary: 'Makes a master key; it seals what is stored from now on',
  body: nothing,
  answers: { 201: dataOf(z.object({ key_id: z.string() })) },
  async handle(call) {
    const keyId = await call.api.keyring.add();
    await note(call, 'master_key_added', { key_id: keyId });
    return { data: { key_id: keyId } };
  },
});

export const rotateMasterKeys = operation({
  id: 'rotateMasterKeys',
  summary:
    'Seals every API key again under the newest master key; what was cut off is resumed by asking again',
  body: nothing,
  answers: { 200: dataOf(z.object({ moved: z.int(), failed: z.int() })) },
  async handle(call) {
    // Goes on when the caller does not wait for it; ends with the API.
    const { moved, failed } = await call.api.vault.rotate(call.api.closing);
    await note(call, 'master_keys_rotated', { moved, failed });
    return { data: { moved, failed } };
  },
});

export const retireMasterKey = operation({
  id: 'retireMasterKey',
  summary: 'Takes a master key out for good, once nothing is sealed under it',
  params: z.object({ key_id: z.string().min(1).max(32) }),
  body: nothing,
  answers: { 204: null },
  async handle(call) {
    await call.api.keyring.retire(call.params.key_id);
    await note(call, 'master_key_retired', { key_id: call.params.key_id });
  },
});

function note(
  call: Call<unknown, unknown, unknown>,
  type: string,
  data: Record<string, unknown>,
): Promise<void> {
  const { api, actor } = call;
  return insertEvent(api.db, {
    instanceId: null,
    userId: null,
    actorId: actor.userId,
    type,
    data,
    ip: actor.ip,
    userAgent: actor.userAgent,
  });
}
