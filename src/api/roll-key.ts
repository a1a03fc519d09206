// Puts a replaced API key into the instances that run with the old one, by restarting them on the same URL and token. The
// first has to prove the key: while it is not running again, the others keep what they have.
import { Fault } from '../base/errors.ts';
import { listRunningOfType } from '../db/queries/api-keys.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Call } from './operation.ts';

export interface Roll {
  /** Instances that were restarted, or are being. */
  readonly restarted: string[];
  /** Instances that go on with the old key, because they could not be restarted or the first did not come back. */
  readonly kept: string[];
}

/** How long the first may take to come back, milliseconds. */
const proveMsMax = 60_000;

/** Restarts the caller's running instances of a type. Calls in flight get the time to drain; open sessions end. */
export async function rollKey(call: Call<unknown, unknown, unknown>, type: ServerType): Promise<Roll> {
  const { db, manager } = call.api;
  const kept: string[] = [];
  const restart = async (id: string): Promise<boolean> => {
    try {
      await manager.restart(call.actor, id);
      return true;
    } catch (error) {
      // It has ended meanwhile, and takes the new key when it is next started.
      if (!(error instanceof Fault) || !['illegal_in_status', 'lease_over', 'not_found'].includes(error.code))
        throw error;
      kept.push(id);
      return false;
    }
  };
  const [first, ...others] = await listRunningOfType(db, call.caller.userId, type.id);
  if (first === undefined || !(await restart(first))) return { restarted: [], kept: [...kept, ...others] };
  const { status } = await manager.settled(first, proveMsMax, call.signal);
  if (status !== 'running') return { restarted: [first], kept: others };
  const restarted = [first];
  for (const id of others) if (await restart(id)) restarted.push(id);
  return { restarted, kept };
}
