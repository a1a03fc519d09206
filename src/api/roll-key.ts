// Puts a replaced API key into the instances that run with the old one. The first has to prove the key: while it does
// not serve with it, the others keep what they have. An instance that cannot be handed over is restarted.
import { Fault, messageOf } from '../base/errors.ts';
import { listRunningOfType } from '../db/queries/api-keys.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Call } from './operation.ts';

export interface Roll {
  /** Instances that serve with the new key, without a call having failed for it. */
  readonly moved: string[];
  /** Instances that were restarted with it, or are being. */
  readonly restarted: string[];
  /** Instances that go on with the old key. */
  readonly kept: string[];
  /** Why, of those that were tried. */
  readonly refused: Refused[];
}

export interface Refused {
  readonly id: string;
  readonly code: string;
  readonly detail: string;
  /** What the server said that was started with the new key. */
  readonly last_lines: readonly string[];
}

/** How long a restarted one may take to come back, milliseconds. */
const proveMsMax = 60_000;

/** Hand-overs at once, after the first: each starts a process. */
const atOnceMax = 3;

export async function rollKey(call: Call<unknown, unknown, unknown>, type: ServerType): Promise<Roll> {
  const ids = await listRunningOfType(call.api.db, call.caller.userId, type.id);
  const roll: Roll = { moved: [], restarted: [], kept: [], refused: [] };
  const [first, ...others] = ids;
  if (first === undefined) return roll;
  const isProved = await replace(call, roll, first);
  if (!isProved) return { ...roll, kept: [...roll.kept, ...others] };
  const lanes = Array.from({ length: atOnceMax }, async () => {
    for (let id = others.shift(); id !== undefined; id = others.shift()) await replace(call, roll, id);
  });
  await Promise.all(lanes);
  // In the order they were in, whoever was ready first.
  const byAge = (some: readonly string[]): string[] => ids.filter((id) => some.includes(id));
  const { moved, restarted, kept, refused } = roll;
  return { moved: byAge(moved), restarted: byAge(restarted), kept: byAge(kept), refused };
}

/** @returns whether it serves with the new key now */
async function replace(call: Call<unknown, unknown, unknown>, roll: Roll, id: string): Promise<boolean> {
  const { manager } = call.api;
  const refuse = (code: string, detail: string, lastLines: readonly string[] = []): false => {
    roll.kept.push(id);
    roll.refused.push({ id, code, detail, last_lines: lastLines });
    return false;
  };
  try {
    const replaced = await manager.replaceKey(call.actor, id, call.signal);
    if (replaced.outcome === 'refused') {
      const { lastLines } = replaced;
      return refuse('key_not_proved', lastLines.at(-1) ?? 'it was not ready', lastLines);
    }
    roll[replaced.outcome].push(id);
    if (replaced.outcome === 'moved') return true;
    return (await manager.settled(id, proveMsMax, call.signal)).status === 'running';
  } catch (error) {
    // What has ended meanwhile takes the new key when it is next started.
    if (error instanceof Fault) return refuse(error.code, error.message);
    call.api.log.warn(
      { instance: id, reason: messageOf(error) },
      'an API key could not be put into an instance',
    );
    return refuse('internal', 'the instance could not be asked; try again');
  }
}
