// A running instance is to use its owner's present API key: handed over where its server allows that, else restarted with
// it. It writes what became of it; it never ends an instance for a key that is no good, where that can be known.
import { Fault } from '../base/errors.ts';
import type { Db, Fence } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { readInstance, setApiKey } from '../db/queries/instances.ts';
import type { Effects } from './effects.ts';
import type { Actor, KeyReplaced } from './types.ts';
import { requireVisible } from './visible.ts';

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
  const { row } = requireVisible(await readInstance(options.db, id), id, actor);
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
