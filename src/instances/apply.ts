// The one door to an instance's status: an event goes in, one transaction decides by the table in
// domain/lifecycle.ts, writes the row and its trail, and says which effects must follow. It starts and ends nothing
// itself. News from an older generation is dropped; an illegal event of a person is refused, one of a machine ignored.
import { Fault } from '../base/errors.ts';
import type { Db, Fence, Tx } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { lockInstance, type Timed, transition } from '../db/queries/instances.ts';
import { assignPort, type PoolRange, releasePort } from '../db/queries/ports.ts';
import { type Instance, isAtWork } from '../domain/instance.ts';
import { type Branch, type Effect, type LifecycleEvent, next } from '../domain/lifecycle.ts';
import type { Allocator } from '../ports/allocator.ts';
import type { Occurrence } from './occurrence.ts';
import { eventName, patchFor } from './patch.ts';
import { holdQuota } from './quota.ts';
import type { Actor } from './types.ts';
import { notVisible } from './visible.ts';

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
  readonly maxInstancesPerUser: () => Promise<number>;
}

export type Apply = (id: string, occurrence: Occurrence) => Promise<Outcome>;

/** Makes the door. @throws Fault not_found, illegal_in_status, lease_over, no_port_free, node_fenced */
export function createApply(options: ApplyOptions): Apply {
  return async (id, occurrence) => {
    const pool = mayLease.includes(occurrence.event) ? await readPool(options) : undefined;
    return options.db.tx(async (tx) => {
      const timed = await lockInstance(tx, id);
      if (timed === undefined || !mayTouch(timed.row, occurrence.actor)) throw notVisible(id);
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
      return write({ tx, timed, branch, occurrence, options, pool });
    }, options.fence());
  };
}

/** Events that may take a port for an instance that holds none. */
const mayLease: readonly LifecycleEvent[] = ['restart', 'restore', 'renew'];

/** What taking a port must respect. Read before the transaction, because it may need a connection of its own. */
interface Pool {
  readonly range: PoolRange;
  readonly quota: number;
}

async function readPool(options: ApplyOptions): Promise<Pool> {
  const [range, quota] = await Promise.all([options.allocator.range(), options.maxInstancesPerUser()]);
  return { range, quota };
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
  const { event } = occurrence;
  // A sleeping instance stays disconnected when it is stopped, but gives its port back: no repeat.
  if (branch.to !== row.status || branch.effects.includes('unlisten')) return false;
  if (event === 'delete') return row.stop_reason === 'deleted' || row.deleted_at !== null;
  // The end of a generation that was still starting leads to pending again, with the next generation: no repeat.
  if (event === 'exited') return !isAtWork(row.status);
  return event === 'stop' || event === 'expire' || (event === 'ready' && row.status !== 'pending');
}

interface Writing {
  readonly tx: Tx;
  readonly timed: Timed;
  readonly branch: Branch;
  readonly occurrence: Occurrence;
  readonly options: ApplyOptions;
  readonly pool: Pool | undefined;
}

async function write({ tx, timed, branch, occurrence, options, pool }: Writing): Promise<Outcome> {
  const { row } = timed;
  let patch = patchFor(timed, branch, occurrence);
  if (branch.effects.includes('launch') && row.assigned_port === null) {
    if (pool === undefined) throw new Error(`${occurrence.event} may not take a port`);
    await holdQuota(tx, row.user_id, pool.quota);
    const port = await options.allocator.lock(tx, pool.range, portOf(row.access_url));
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

function portOf(accessUrl: string): number | null {
  const port = Number(URL.parse(accessUrl)?.port);
  return Number.isInteger(port) && port > 0 ? port : null;
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
