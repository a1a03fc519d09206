// The one door to an instance's status: an event goes in, one transaction decides by the table in
// domain/lifecycle.ts, writes the row and its trail, and says which effects must follow. It starts and ends nothing
// itself. News from an older generation is dropped; an illegal event of a person is refused, one of a machine ignored.
import { Fault } from '../base/errors.ts';
import type { Db, Fence, Tx } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { lockInstance, type Patch, type Timed, transition } from '../db/queries/instances.ts';
import { assignPort, releasePort } from '../db/queries/ports.ts';
import { type Instance, isAtWork, type Status, type StopReason } from '../domain/instance.ts';
import { type Branch, type Effect, type LifecycleEvent, next } from '../domain/lifecycle.ts';
import type { Allocator } from '../ports/allocator.ts';
import type { Actor } from './types.ts';

/** What comes with an event, beside its name. */
export interface Occurrence {
  readonly event: LifecycleEvent;
  /** Who asked; absent: the supervisor, the clock or the shim. */
  readonly actor?: Actor;
  /** The generation the news is about; absent for what people ask. */
  readonly generation?: number;
  /** For stop, and for exited: why. */
  readonly reason?: StopReason;
  readonly exitCode?: number | null;
  readonly message?: string | null;
  readonly processId?: number | null;
  /** Restarts of the child that the shim has counted in this generation. */
  readonly shimRestarts?: number;
  /** For exited: milliseconds to wait before the next launch, or undefined when the budget is spent. */
  readonly restartDelayMs?: number | undefined;
  /** For extend and renew: the new end of the lease, computed from the locked row. */
  readonly newEnd?: (timed: Timed) => Date;
  /** Facts worth keeping in the event. */
  readonly data?: Record<string, unknown>;
}

export interface Outcome {
  readonly row: Instance;
  readonly effects: readonly Effect[];
  /** False: nothing was changed, the event was stale or came too early. */
  readonly changed: boolean;
}

export interface ApplyOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly allocator: Allocator;
  readonly urlOf: (port: number) => string;
}

export type Apply = (id: string, occurrence: Occurrence) => Promise<Outcome>;

/** Makes the door. @throws Fault not_found, illegal_in_status, lease_over, no_port_free, node_fenced */
export function createApply(options: ApplyOptions): Apply {
  return (id, occurrence) =>
    options.db.tx(async (tx) => {
      const timed = await lockInstance(tx, id);
      if (timed === undefined || !mayTouch(timed.row, occurrence.actor)) throw notFound(id);
      const { row } = timed;
      const unchanged: Outcome = { row, effects: [], changed: false };
      if (occurrence.generation !== undefined && occurrence.generation !== row.generation) return unchanged;
      if (occurrence.event === 'expire' && !timed.leaseOver) return unchanged;
      const branch = next(row.status, occurrence.event, factsOf(timed, occurrence));
      if (branch === undefined) {
        if (occurrence.actor === undefined) return unchanged;
        throw refusal(row, occurrence.event);
      }
      if (timed.leaseOver && needsLease.includes(occurrence.event)) throw leaseOver(row);
      if (isRepeat(row, branch, occurrence)) return { row, effects: branch.effects, changed: false };
      return write(tx, timed, branch, occurrence, options);
    }, options.fence());
}

const needsLease: readonly LifecycleEvent[] = ['restart', 'restore', 'extend'];

function mayTouch(row: Instance, actor: Actor | undefined): boolean {
  if (row.deleted_at !== null && actor !== undefined) return false;
  return actor === undefined || actor.role === 'admin' || actor.userId === row.user_id;
}

function factsOf(timed: Timed, occurrence: Occurrence) {
  const { row } = timed;
  const stopReason = row.stop_reason ?? (row.status === 'stopping' ? null : (occurrence.reason ?? null));
  return {
    leaseOver: timed.leaseOver || occurrence.reason === 'expired',
    stopReason,
    mayRestart: occurrence.restartDelayMs !== undefined,
  };
}

/** Events that change nothing when the row is already where they lead. */
function isRepeat(row: Instance, branch: Branch, occurrence: Occurrence): boolean {
  if (branch.to !== row.status) return false;
  if (occurrence.event === 'delete') return row.stop_reason === 'deleted' || row.deleted_at !== null;
  return (
    ['stop', 'expire', 'exited'].includes(occurrence.event) ||
    (occurrence.event === 'ready' && row.status !== 'pending')
  );
}

async function write(
  tx: Tx,
  timed: Timed,
  branch: Branch,
  occurrence: Occurrence,
  options: ApplyOptions,
): Promise<Outcome> {
  const { row } = timed;
  const launching = branch.effects.includes('launch');
  let patch = patchFor(timed, branch, occurrence);
  if (launching && row.assigned_port === null) {
    const port = await options.allocator.lock(tx, portOf(row.access_url));
    await assignPort(tx, row.node_id, port, row.id);
    patch = { ...patch, assigned_port: port, access_url: options.urlOf(port) };
  }
  if (patch.assigned_port === null) await releasePort(tx, row.id);
  const written = await transition(tx, row, branch.to, patch);
  if (written === undefined) throw new Error(`instance ${row.id} changed under its own lock`);
  const type = eventName(row, written, branch, occurrence);
  if (type !== undefined) {
    const { actor } = occurrence;
    await insertEvent(tx, {
      instanceId: row.id,
      userId: row.user_id,
      actorId: actor?.userId ?? null,
      ip: actor?.ip ?? null,
      userAgent: actor?.userAgent ?? null,
      type,
      data: {
        from: row.status,
        to: written.status,
        generation: written.generation,
        ...(written.stop_reason === null ? {} : { reason: written.stop_reason }),
        ...(occurrence.exitCode === undefined ? {} : { exit_code: occurrence.exitCode }),
        ...(occurrence.message ? { message: occurrence.message } : {}),
        ...occurrence.data,
      },
    });
  }
  return { row: written, effects: branch.effects, changed: true };
}

/** What a branch changes beside the status. */
function patchFor(timed: Timed, branch: Branch, occurrence: Occurrence): Patch {
  const { row } = timed;
  const lease: Patch =
    occurrence.newEnd === undefined
      ? {}
      : {
          expires_at: occurrence.newEnd(timed),
          warned_at: null,
          ...(occurrence.event === 'renew' ? { lease_started_at: 'now' as const } : {}),
        };
  if (branch.effects.includes('launch')) return { ...lease, ...launchPatch(row, occurrence) };
  if (occurrence.event === 'ready') {
    return {
      health: 'healthy',
      ready_at: 'now',
      error_message: null,
      process_id: occurrence.processId ?? null,
      ...restartsPatch(row, occurrence),
    };
  }
  if (occurrence.event === 'child_down')
    return { health: 'restarting', process_id: null, ...restartsPatch(row, occurrence) };
  if (branch.to === 'stopping') return { ...lease, stop_reason: stopReasonFor(row, occurrence) };
  if (!isAtWork(branch.to)) return { ...lease, ...restPatch(timed, branch.to, occurrence) };
  return lease;
}

function launchPatch(row: Instance, occurrence: Occurrence): Patch {
  const crashed = row.status !== 'stopping' && occurrence.restartDelayMs !== undefined;
  return {
    generation: row.generation + 1,
    health: crashed ? 'restarting' : 'starting',
    process_id: null,
    handle: null,
    stop_reason: null,
    started_at: null,
    stopped_at: null,
    stats: {},
    restarts: crashed ? row.restarts + 1 : 0,
    next_start_at: crashed ? (occurrence.restartDelayMs ?? 0) : null,
    ...(crashed ? {} : { error_message: null, exit_code: null, ready_at: null }),
  };
}

/** The row counts restarts over its whole lease; a shim counts those of its own generation. */
function restartsPatch(row: Instance, occurrence: Occurrence): Patch {
  const seen = typeof row.stats.shim_restarts === 'number' ? row.stats.shim_restarts : 0;
  const counted = occurrence.shimRestarts ?? seen;
  if (counted <= seen) return {};
  return { restarts: row.restarts + counted - seen, stats: { ...row.stats, shim_restarts: counted } };
}

function stopReasonFor(row: Instance, occurrence: Occurrence): StopReason {
  if (occurrence.event === 'delete') return 'deleted';
  if (occurrence.event === 'restart') return 'restart';
  if (occurrence.event === 'expire') return 'expired';
  return occurrence.reason ?? row.stop_reason ?? 'user';
}

function restPatch(timed: Timed, to: Status, occurrence: Occurrence): Patch {
  const { row } = timed;
  const deleted =
    occurrence.event === 'delete' || (row.stop_reason === 'deleted' && row.status === 'stopping');
  const ended = isAtWork(row.status);
  const reason =
    to === 'expired'
      ? 'expired'
      : row.status === 'stopping'
        ? row.stop_reason
        : (occurrence.reason ?? row.stop_reason);
  return {
    ...(deleted ? { deleted_at: 'now' as const, stop_reason: 'deleted' } : { stop_reason: reason }),
    ...(occurrence.newEnd === undefined ? {} : { stop_reason: row.stop_reason }),
    ...(ended ? { stopped_at: 'now' as const, exit_code: occurrence.exitCode ?? null } : {}),
    assigned_port: null,
    process_id: null,
    handle: null,
    health: 'unknown',
    next_start_at: null,
    ...(to === 'error' && occurrence.message ? { error_message: occurrence.message } : {}),
  };
}

/** The word in the audit trail, or undefined for what is not worth one. */
function eventName(
  before: Instance,
  after: Instance,
  branch: Branch,
  occurrence: Occurrence,
): string | undefined {
  if (after.deleted_at !== null && before.deleted_at === null) return 'deleted';
  if (occurrence.event === 'extend') return 'extended';
  if (occurrence.event === 'renew') return 'renewed';
  if (occurrence.event === 'restore' || (occurrence.event === 'restart' && branch.effects.includes('launch')))
    return 'restored';
  if (before.status === 'pending' && after.status === 'running')
    return before.ready_at === null ? 'ready' : 'recovered';
  if (occurrence.event === 'child_down' && before.status === 'running') return 'restarting';
  if (before.status === after.status) return occurrence.event === 'delete' ? 'deleting' : undefined;
  if (after.status === 'stopping') return 'stopping';
  if (after.status === 'pending') return 'restarting';
  if (after.status === 'disconnected') return 'stopped';
  return after.status;
}

function portOf(accessUrl: string): number | null {
  const port = Number(URL.parse(accessUrl)?.port);
  return Number.isInteger(port) && port > 0 ? port : null;
}

function notFound(id: string): Fault {
  return new Fault('not_found', `there is no instance ${id} that you may see`);
}

function leaseOver(row: Instance): Fault {
  return new Fault(
    'lease_over',
    `the lease of "${row.name}" ended at ${row.expires_at.toISOString()}; renew it first`,
  );
}

function refusal(row: Instance, event: LifecycleEvent): Fault {
  if (row.status === 'expired') return leaseOver(row);
  return new Fault('illegal_in_status', `"${row.name}" is ${row.status}: it cannot be asked to ${event} now`);
}
