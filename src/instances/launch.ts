// The effect that starts a generation: waits for its turn, opens the key, starts the shim, remembers how to find it. A
// start that cannot succeed ends the instance in error; one that only cannot succeed now leaves it pending, and
// reconcile launches it again.
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import { insertEvent } from '../db/queries/events.ts';
import { setApiKey, setHandle, type Timed } from '../db/queries/instances.ts';
import type { Instance } from '../domain/instance.ts';
import type { Handle } from '../runtime/driver.ts';
import type { Outcome } from './apply.ts';
import { current, type EffectsOptions, findHandle } from './effect-options.ts';

/** Longest a start may keep others waiting, milliseconds: ten times what one takes, and for those that never rest. */
const placeHeldMsMax = 5_000;
/** A start asks for the processor without a pause; one that asked for so little of that time waits for something else. */
const quietMs = 200;
const quietShare = 0.2;

export async function launch(
  options: EffectsOptions,
  wanted: Instance,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const before = await current(options, wanted, 'pending');
  if (before === undefined) return undefined;
  if (before.row.next_start_at !== null) {
    const delayMs = before.row.next_start_at.getTime() - before.now.getTime();
    if (delayMs > 0) await options.changes.next(wanted.id, delayMs, signal);
  }
  const leave = await options.admission.enter({ instanceId: wanted.id, userId: wanted.user_id }, signal);
  if (leave === undefined) return undefined;
  // The place is held until the instance is ready, has failed, or has stopped asking for the processor: starting is what
  // costs, neither spawning nor waiting.
  const over = new AbortController();
  const held = options.changes.next(wanted.id, placeHeldMsMax, over.signal);
  void held.finally(() => {
    over.abort();
    leave();
  });
  try {
    const timed = await current(options, wanted, 'pending');
    const started = timed === undefined ? undefined : await start(options, timed);
    if (started?.handle === undefined) over.abort();
    else void isQuiet(options, started.handle, over.signal).then((quiet) => quiet && over.abort());
    return started?.failed;
  } catch (error) {
    over.abort();
    throw error;
  }
}

/** Waits until a start no longer asks for the processor. @returns false when that cannot be known, or not any more */
async function isQuiet(options: EffectsOptions, handle: Handle, signal: AbortSignal): Promise<boolean> {
  for (let before = { askedMs: options.driver.demand(handle), atMs: monotonicMs() }; !signal.aborted; ) {
    await sleep(quietMs, signal).catch(() => {});
    const now = { askedMs: options.driver.demand(handle), atMs: monotonicMs() };
    if (now.askedMs === undefined || before.askedMs === undefined) return false;
    if (Math.abs(now.askedMs - before.askedMs) < (now.atMs - before.atMs) * quietShare) return true;
    before = now;
  }
  return false;
}

/** A start that is under way, or the outcome of one that failed for good. */
interface Started {
  readonly handle?: Handle;
  readonly failed?: Outcome;
}

async function start(options: EffectsOptions, timed: Timed): Promise<Started> {
  const { row, now } = timed;
  try {
    const type = await options.typeById(row.mcp_type_id);
    if (type === undefined) throw new Fault('unknown_type', 'its server type is gone');
    const [key, limits, minIsolation, drainMs, logBudget] = await Promise.all([
      type.key_variable === null ? null : options.openKey(row.user_id, type.id),
      options.limitsOf(type),
      options.minIsolation(),
      options.drainMs(),
      options.logBudget(row.id),
    ]);
    if (type.key_variable !== null && key === null)
      throw new Fault('api_key_required', 'its API key has been removed or is over');
    options.say(
      row.id,
      'info',
      `starting ${type.name} (generation ${row.generation}, port ${row.assigned_port})`,
    );
    await options.sleepers.listenAhead(row);
    const socket = options.sleepers.handOver(row.id);
    const handle = await options.driver
      .start({
        instanceId: row.id,
        generation: row.generation,
        port: row.assigned_port ?? 0,
        tokenSha256: row.access_token,
        remainingMs: Math.max(row.expires_at.getTime() - now.getTime(), 0),
        expiresAt: row.expires_at,
        drainMs,
        type,
        config: row.config,
        apiKey: key?.plaintext ?? null,
        keyVersion: key?.version,
        limits,
        logBudget,
        minIsolation,
        publicHosts: options.publicHosts,
        listenFd: socket?.fd,
      })
      .finally(() => socket?.release());
    await noteStarted(options, row, handle, key?.id ?? null);
    return { handle };
  } catch (error) {
    if (isPassing(error)) throw error;
    return { failed: await startFailed(options, row, error) };
  }
}

/** Remembers how to find it, and says so in the trail: one without the other never. */
function noteStarted(
  options: EffectsOptions,
  row: Instance,
  handle: Handle,
  apiKeyId: string | null,
): Promise<void> {
  return options.db.tx(async (tx) => {
    if (!(await setHandle(tx, row.id, row.generation, handle))) return;
    if (apiKeyId !== row.api_key_id) await setApiKey(tx, row.id, row.generation, apiKeyId);
    await insertEvent(tx, {
      instanceId: row.id,
      userId: row.user_id,
      actorId: null,
      type: 'started',
      data: { generation: row.generation, port: row.assigned_port, isolation: handle.isolation },
    });
  });
}

async function startFailed(options: EffectsOptions, row: Instance, error: unknown): Promise<Outcome> {
  const message = messageOf(error);
  options.log.warn({ err: error, instance: row.id }, 'an instance could not be started');
  options.say(row.id, 'error', `could not be started: ${message}`);
  options.sleepers.unlisten(row.id);
  // The launcher may have got as far as a process; nothing may be left before the port is given back.
  const handle = await findHandle(options, row);
  if (handle !== undefined)
    await options.driver.stop(handle, { reason: 'start_failed', drainMs: 0, graceMs: 0 });
  return options.apply(row.id, {
    event: 'exited',
    generation: row.generation,
    reason: 'start_failed',
    exitCode: null,
    message,
  });
}

/** Faults that pass by themselves: the instance stays pending and reconcile launches it again. */
function isPassing(error: unknown): error is Fault {
  return error instanceof Fault && ['database_unavailable', 'node_fenced'].includes(error.code);
}
