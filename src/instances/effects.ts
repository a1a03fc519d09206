// Carries out what apply decided: launch, terminate, set_deadline, wipe. One queue per instance, so that a stop never
// overtakes a start; every effect re-reads the row first and does nothing if the row has moved on. What fails here is
// found again by reconcile: the row says what is still to be done.
import { type Fault, Fault as FaultClass, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db, Fence } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { readInstance, setHandle, type Timed } from '../db/queries/instances.ts';
import { isPortFreeOf } from '../db/queries/ports.ts';
import type { Instance, IsolationLevel, StopReason } from '../domain/instance.ts';
import type { Effect } from '../domain/lifecycle.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Driver, Handle, Limits } from '../runtime/driver.ts';
import type { ExitRecord } from '../shim/contract.ts';
import type { Admission } from './admission.ts';
import type { Apply, Occurrence, Outcome } from './apply.ts';
import type { Changes } from './changes.ts';
import { exitedOccurrence, policyOf } from './endings.ts';

export interface EffectsOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly apply: Apply;
  readonly driver: Driver;
  readonly changes: Changes;
  readonly admission: Admission;
  readonly log: Logger;
  /** The supervisor's words about an instance, into its log. */
  readonly say: (instanceId: string, level: 'info' | 'warn' | 'error', message: string) => void;
  readonly typeById: (id: string) => Promise<ServerType | undefined>;
  /** Opens the owner's API key for a launch; null when there is none. */
  readonly openKey: (userId: string, typeId: string) => Promise<string | null>;
  readonly limitsOf: (type: ServerType) => Promise<Limits>;
  readonly minIsolation: () => Promise<IsolationLevel>;
  readonly drainMs: () => Promise<number>;
  readonly graceMs: number;
  readonly publicHosts: readonly string[];
  /** Called with each new end of a lease, so that a timer can be set. A hint. */
  readonly onLease: (row: Instance) => void;
}

export interface Effects {
  /** Queues the effects of an outcome behind those of the same instance. */
  follow(outcome: Outcome): void;
  /** Settles a generation whose shim has gone: proves the end and applies it. */
  ended(id: string, generation: number): void;
  /** Gives a running shim its new access token. */
  replaceToken(row: Instance): Promise<void>;
  /** Whether effects of this instance are under way. */
  busy(id: string): boolean;
  /** Takes no more; resolves when what was under way is done. Launches that wait are dropped: reconcile finds them. */
  stop(): Promise<void>;
}

interface Lane {
  tail: Promise<void>;
  queued: number;
  /** Aborts a launch that waits for its turn or its back-off. */
  waiting: AbortController;
}

export function createEffects(options: EffectsOptions): Effects {
  const { log } = options;
  const lanes = new Map<string, Lane>();
  const closing = new AbortController();

  const enqueue = (id: string, task: (signal: AbortSignal) => Promise<Outcome | undefined>): void => {
    if (closing.signal.aborted) return;
    const lane = lanes.get(id) ?? { tail: Promise.resolve(), queued: 0, waiting: new AbortController() };
    lanes.set(id, lane);
    lane.waiting.abort();
    lane.waiting = new AbortController();
    const signal = AbortSignal.any([lane.waiting.signal, closing.signal]);
    lane.queued += 1;
    lane.tail = lane.tail
      .then(() => task(signal))
      .then((outcome) => {
        if (outcome !== undefined) follow(outcome);
      })
      .catch((error: unknown) =>
        log.error({ err: error, instance: id }, 'an effect failed; reconcile will find it'),
      )
      .finally(() => {
        lane.queued -= 1;
        if (lane.queued === 0 && lanes.get(id) === lane) lanes.delete(id);
      });
  };

  const follow = (outcome: Outcome): void => {
    const { row } = outcome;
    options.changes.announce(row.id);
    if (outcome.changed && row.status !== 'stopping') options.onLease(row);
    for (const effect of outcome.effects) enqueue(row.id, (signal) => run[effect](options, row, signal));
  };

  return {
    follow,
    ended: (id, generation) => enqueue(id, () => settleEnd(options, id, generation)),
    async replaceToken(row) {
      options.changes.announce(row.id);
      if (isHandle(row.handle)) await options.driver.setToken(row.handle, row.access_token);
    },
    busy: (id) => lanes.has(id),
    async stop() {
      closing.abort();
      await Promise.all([...lanes.values()].map((lane) => lane.tail));
    },
  };
}

type Run = (options: EffectsOptions, row: Instance, signal: AbortSignal) => Promise<Outcome | undefined>;
const run: Readonly<Record<Effect, Run>> = { launch, terminate, set_deadline: setDeadline, wipe };

async function launch(
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
  const leave = await options.admission.enter(signal);
  if (leave === undefined) return undefined;
  try {
    const timed = await current(options, wanted, 'pending');
    if (timed === undefined) return undefined;
    const started = await start(options, timed);
    if (started !== undefined) return started;
    void holdPlaceUntilSettled(options, wanted).finally(leave);
    return undefined;
  } catch (error) {
    leave();
    throw error;
  }
}

/** Starts the shim. @returns the outcome of a start that failed for good, or undefined when it is under way */
async function start(options: EffectsOptions, timed: Timed): Promise<Outcome | undefined> {
  const { row, now } = timed;
  try {
    const type = await options.typeById(row.mcp_type_id);
    if (type === undefined) throw new FaultClass('unknown_type', 'its server type is gone');
    const [apiKey, limits, minIsolation, drainMs] = await Promise.all([
      type.key_variable === null ? null : options.openKey(row.user_id, type.id),
      options.limitsOf(type),
      options.minIsolation(),
      options.drainMs(),
    ]);
    if (type.key_variable !== null && apiKey === null)
      throw new FaultClass('api_key_required', 'its API key has been removed or is over');
    options.say(
      row.id,
      'info',
      `starting ${type.name} (generation ${row.generation}, port ${row.assigned_port})`,
    );
    const handle = await options.driver.start({
      instanceId: row.id,
      generation: row.generation,
      port: row.assigned_port ?? 0,
      tokenSha256: row.access_token,
      remainingMs: Math.max(row.expires_at.getTime() - now.getTime(), 0),
      expiresAt: row.expires_at,
      drainMs,
      type,
      config: row.config,
      apiKey,
      limits,
      minIsolation,
      publicHosts: options.publicHosts,
    });
    await setHandle(options.db, row.id, row.generation, handle);
    return undefined;
  } catch (error) {
    if (isPassing(error)) throw error;
    return startFailed(options, row, error);
  }
}

async function startFailed(options: EffectsOptions, row: Instance, error: unknown): Promise<Outcome> {
  const message = messageOf(error);
  options.log.warn({ err: error, instance: row.id }, 'an instance could not be started');
  options.say(row.id, 'error', `could not be started: ${message}`);
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
  return error instanceof FaultClass && ['database_unavailable', 'node_fenced'].includes(error.code);
}

const placeHeldMsMax = 60_000;

async function holdPlaceUntilSettled(options: EffectsOptions, row: Instance): Promise<void> {
  await options.changes.next(row.id, placeHeldMsMax);
}

async function terminate(options: EffectsOptions, wanted: Instance): Promise<Outcome | undefined> {
  const timed = await current(options, wanted, 'stopping');
  if (timed === undefined) return undefined;
  const { row } = timed;
  const reason = row.stop_reason ?? 'user';
  const handle = await findHandle(options, row);
  let exit: ExitRecord | null = null;
  if (handle !== undefined) {
    options.say(row.id, 'info', `stopping (${reason})`);
    const drainMs = await options.drainMs();
    exit = (await options.driver.stop(handle, { reason, drainMs, graceMs: options.graceMs })).exit;
  }
  return options.apply(row.id, exitOf(row, reason, exit));
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

async function settleEnd(
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
  const occurrence = exitedOccurrence(row, exit, policyOf(type), timed.now);
  options.say(id, occurrence.reason === 'expired' ? 'info' : 'warn', `ended: ${occurrence.reason}`);
  return options.apply(id, occurrence);
}

async function setDeadline(options: EffectsOptions, wanted: Instance): Promise<undefined> {
  const timed = await readInstance(options.db, wanted.id);
  if (timed === undefined || !isHandle(timed.row.handle)) return;
  const { row, now } = timed;
  const remainingMs = Math.max(row.expires_at.getTime() - now.getTime(), 0);
  await options.driver.setDeadline(timed.row.handle as Handle, { remainingMs, expiresAt: row.expires_at });
}

/** Deletes the home and writes the receipt: what was proved when an instance was ended for good. */
async function wipe(options: EffectsOptions, row: Instance): Promise<undefined> {
  await options.driver.remove(row.id);
  await options.db.tx(async (tx) => {
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
  }, options.fence());
  options.say(row.id, 'info', 'ended for good: no process, port free, token dead, home wiped');
}

/** The row as it is now, if it is still the generation and status an effect was meant for. */
async function current(
  options: EffectsOptions,
  wanted: Instance,
  status: Instance['status'],
): Promise<Timed | undefined> {
  const timed = await readInstance(options.db, wanted.id);
  return timed?.row.generation === wanted.generation && timed.row.status === status ? timed : undefined;
}

/** The handle in the row, or the one found on this machine when the supervisor died before writing it. */
export async function findHandle(
  options: Pick<EffectsOptions, 'driver'>,
  row: Instance,
): Promise<Handle | undefined> {
  if (isHandle(row.handle)) return row.handle;
  const handles = await options.driver.list();
  return handles.find((handle) => handle.instanceId === row.id && handle.generation === row.generation);
}

export function isHandle(value: unknown): value is Handle {
  return typeof value === 'object' && value !== null && 'driver' in value && value.driver === 'local';
}
