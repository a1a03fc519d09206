// Whether somebody may know of an instance at all: its owner and admins do, until it is removed. Whoever may not is
// answered as if there were none.
import { Fault } from '../base/errors.ts';
import type { Timed } from '../db/queries/instances.ts';
import type { Actor } from './types.ts';

/** The instance that was found, where the actor may see it. @throws Fault not_found */
export function requireVisible(found: Timed | undefined, id: string, actor: Actor): Timed {
  const isTheirs = actor.role === 'admin' || found?.row.user_id === actor.userId;
  if (found === undefined || found.row.deleted_at !== null || !isTheirs) throw notVisible(id);
  return found;
}

/** The same whether there is none or it is another's. */
export function notVisible(id: string): Fault {
  return new Fault('not_found', `there is no instance ${id} that you may see`);
}
