// The effects that end: terminate what is asked to stop, settle what ended by itself, wipe what is over. Each proves that
// nothing lives before it says so.
import { hasReceipt, insertEvent } from '../db/queries/events.ts';
import { readInstance } from '../db/queries/instances.ts';
import { isPortFreeOf } from '../db/queries/ports.ts';
import { type Instance, isAtWork, type StopReason } from '../domain/instance.ts';
import { restartPolicyOf } from '../domain/restart.ts';
import type { ExitRecord } from '../shim/contract.ts';
import type { Outcome } from './apply.ts';
import { current, type EffectsOptions, findHandle, isHandle } from './effect-options.ts';
import { exitedOccurrence } from './endings.ts';
import type { Occurrence } from './occurrence.ts';

export async function terminate(options: EffectsOptions, wanted: Instance): Promise<Outcome | undefined> {
  const timed = await current(options, wanted, 'stopping');
  if (timed === undefined) return undefined;
  const { row } = timed;
  const reason = row.stop_reason ?? 'user';
  const handle = await findHandle(options, row);
  let exit: ExitRecord | null = null;
  if (handle !== undefined) {
    options.say(row.id, 'info', `stopping (${reason})`);
    const drainMs = await options.drainMs();
    // Who comes meanwhile is held until it sleeps, which wakes it, or until it has started again.
    const portTaken =
      (reason === 'idle' || reason === 'restart') && (await options.sleepers.listenBeside(row));
    exit = (await options.driver.stop(handle, { reason, drainMs, graceMs: options.graceMs, portTaken })).exit;
  }
  const outcome = await options.apply(row.id, exitOf(row, reason, exit));
  if (outcome.row.assigned_port === null) options.sleepers.unlisten(row.id);
  return outcome;
}

function exitOf(row: Instance, reason: StopReason, exit: ExitRecord | null): Occurrence {
  return {
    event: 'exited',
    generation: row.generation,
    reason,
    exitCode: exit?.exitCode ?? null,
    data: { processes: 0 },
  };
}

export async function settleEnd(
  options: EffectsOptions,
  id: string,
  generation: number,
): Promise<Outcome | undefined> {
  const timed = await readInstance(options.db, id);
  if (timed === undefined || timed.row.generation !== generation) return undefined;
  const { row } = timed;
  const handle = await findHandle(options, row);
  let exit: ExitRecord | null = null;
  if (handle !== undefined) {
    const found = await options.driver.inspect(handle);
    if (found.state !== 'ended') return undefined;
    // The shim is gone; a child it could not take with it may not be. stop proves that nothing lives.
    exit = (await options.driver.stop(handle, { reason: 'lost', drainMs: 0, graceMs: 0 })).exit;
  }
  const type = await options.typeById(row.mcp_type_id);
  const occurrence = exitedOccurrence(row, exit, restartPolicyOf(type?.restart_policy ?? {}), timed.now);
  options.say(id, occurrence.reason === 'expired' ? 'info' : 'warn', `ended: ${occurrence.reason}`);
  return options.apply(id, occurrence);
}

export async function setDeadline(options: EffectsOptions, wanted: Instance): Promise<undefined> {
  const timed = await readInstance(options.db, wanted.id);
  if (timed === undefined || !isHandle(timed.row.handle)) return;
  const { row, now } = timed;
  const remainingMs = Math.max(row.expires_at.getTime() - now.getTime(), 0);
  await options.driver.setDeadline(timed.row.handle, { remainingMs, expiresAt: row.expires_at });
}

/** Deletes the home and writes the receipt, once: what was proved when an instance was ended for good. */
export async function wipe(options: EffectsOptions, wanted: Instance): Promise<undefined> {
  const row = (await readInstance(options.db, wanted.id))?.row;
  // Renewed meanwhile: the home is its own again.
  if (row === undefined || row.generation !== wanted.generation || isAtWork(row.status)) return;
  await options.driver.remove(row.id);
  const isFirst = await options.db.tx(async (tx) => {
    if (await hasReceipt(tx, row.id, row.generation)) return false;
    await insertEvent(tx, {
      instanceId: row.id,
      userId: row.user_id,
      actorId: null,
      type: 'receipt',
      data: {
        processes: 0,
        port_free: await isPortFreeOf(tx, row.id),
        token_dead: true,
        home_wiped: true,
        generation: row.generation,
      },
    });
    return true;
  }, options.fence());
  if (isFirst) options.say(row.id, 'info', 'ended for good: no process, port free, token dead, home wiped');
}
