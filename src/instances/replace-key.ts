// Puts the owner's present API key into a running instance, without a gap where its server allows that. It writes what
// became of it; it never ends the instance for a key that is no good.
import { Fault } from '../base/errors.ts';
import type { Db, Fence } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { readInstance, setApiKey } from '../db/queries/instances.ts';
import type { Instance } from '../domain/instance.ts';
import type { Rekeyed } from '../runtime/driver.ts';
import { type EffectsOptions, findHandle } from './effect-options.ts';
import type { Effects } from './effects.ts';
import type { Actor, KeyReplaced } from './types.ts';

/** Has the shim of an instance change to the key. @throws Fault illegal_in_status, api_key_required, secrets_unavailable */
export async function handOverKey(
  options: EffectsOptions,
  row: Instance,
  signal: AbortSignal,
): Promise<Rekeyed & { readonly apiKeyId: string }> {
  const [type, handle] = await Promise.all([options.typeById(row.mcp_type_id), findHandle(options, row)]);
  if (type === undefined || type.key_variable === null || handle === undefined)
    throw new Fault('illegal_in_status', `"${row.name}" runs without an API key`);
  const key = await options.openKey(row.user_id, type.id);
  if (key === null) throw new Fault('api_key_required', 'its API key has been removed or is over');
  const apiKeyId = key.id;
  // What speaks HTTP has sessions of its own, which no other process can go on with.
  if (type.transport !== 'stdio') return { outcome: 'unsupported', apiKeyId };
  const { version, plaintext: value } = key;
  const change = { version, variable: type.key_variable, value };
  return { ...(await options.driver.rekey(handle, change, signal)), apiKeyId };
}

export interface ReplaceKeyOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly effects: Pick<Effects, 'handOverKey'>;
  readonly restart: (actor: Actor, id: string) => Promise<unknown>;
}

/** What `Manager.replaceKey` does. */
export async function replaceKey(
  options: ReplaceKeyOptions,
  actor: Actor,
  id: string,
  signal: AbortSignal,
): Promise<KeyReplaced> {
  const row = (await readInstance(options.db, id))?.row;
  if (
    row === undefined ||
    row.deleted_at !== null ||
    (actor.role !== 'admin' && row.user_id !== actor.userId)
  )
    throw new Fault('not_found', `there is no instance ${id} that you may see`);
  if (row.status !== 'running') throw new Fault('illegal_in_status', `"${row.name}" is ${row.status}`);
  const rekeyed = await options.effects.handOverKey(row, signal);
  if (rekeyed.outcome === 'unsupported') await options.restart(actor, id);
  const outcome = rekeyed.outcome === 'unsupported' ? 'restarted' : rekeyed.outcome;
  await options.db.tx(async (tx) => {
    if (outcome === 'moved') await setApiKey(tx, id, row.generation, rekeyed.apiKeyId);
    await insertEvent(tx, {
      instanceId: id,
      userId: row.user_id,
      actorId: actor.userId,
      type: 'key_rolled',
      data: { outcome, generation: row.generation },
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
  }, options.fence());
  return rekeyed.outcome === 'refused' ? rekeyed : { outcome: outcome === 'moved' ? 'moved' : 'restarted' };
}
