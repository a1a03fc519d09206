// What people may ask of instances: create, stop, restart, restore, renew, extend, remove, new token. It checks the
// wish, writes it through apply, and hands the effects on. It refuses before it takes anything: a wish that fails
// leaves no port, no row and no process behind.
import { monotonicMs } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import { insertEvent } from '../db/queries/events.ts';
import { lockInstance, readInstance, setAccessToken } from '../db/queries/instances.ts';
import type { Instance } from '../domain/instance.ts';
import { extendedUntil, refuseDuration } from '../domain/lease.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Apply } from './apply.ts';
import type { Changes } from './changes.ts';
import type { Effects } from './effects.ts';
import type { Occurrence } from './occurrence.ts';
import { replaceKey } from './replace-key.ts';
import { type RequestOptions, request } from './request.ts';
import type { Actor, Manager, WithToken } from './types.ts';
import { notVisible, requireVisible } from './visible.ts';
import { visit } from './visit.ts';

export interface ManagerOptions extends RequestOptions {
  readonly apply: Apply;
  readonly effects: Effects;
  readonly changes: Changes;
  readonly queuePosition: (id: string) => number | null;
}

export function createManager(options: ManagerOptions): Manager {
  const { effects } = options;

  const act = async (id: string, occurrence: Occurrence): Promise<Instance> => {
    const outcome = await options.apply(id, occurrence);
    effects.follow(outcome);
    return outcome.row;
  };

  return {
    async create(actor, input) {
      const created = await request(options, actor, input);
      effects.follow({ row: created.instance, effects: ['launch'], changed: true });
      return created;
    },
    stop: (actor, id, reason = 'user') => act(id, { event: 'stop', actor, reason }),
    restart: (actor, id) => act(id, { event: 'restart', actor }),
    restore: (actor, id) => act(id, { event: 'restore', actor }),
    remove: (actor, id) => act(id, { event: 'delete', actor }),
    async renew(actor, id, minutes) {
      const type = await typeOf(options, actor, id);
      const wanted = minutes ?? Math.min(await options.settings.defaultMinutes(), type.max_duration_minutes);
      const fault = refuseDuration(wanted, type.max_duration_minutes);
      if (fault !== undefined) throw fault;
      options.admit();
      return act(id, {
        event: 'renew',
        actor,
        newEnd: ({ now }) => new Date(now.getTime() + wanted * 60_000),
        data: { minutes: wanted },
      });
    },
    async extend(actor, id, minutes) {
      const type = await typeOf(options, actor, id);
      const fault = refuseDuration(minutes, type.max_duration_minutes);
      if (fault !== undefined) throw fault;
      const maxLeaseMinutes = await options.settings.maxLeaseMinutes();
      return act(id, {
        event: 'extend',
        actor,
        data: { minutes },
        newEnd: ({ row, now }) =>
          extendedUntil({
            now,
            expiresAt: row.expires_at,
            leaseStartedAt: row.lease_started_at,
            minutes,
            maxLeaseMinutes,
          }),
      });
    },
    newToken: (actor, id) => newAccessToken(options, actor, id),
    replaceKey: (actor, id, signal) =>
      replaceKey(
        { ...options, restart: (by, which) => act(which, { event: 'restart', actor: by }) },
        actor,
        id,
        signal,
      ),
    visit: (actor, id, tool) => visit(options, actor, id, tool),
    queuePosition: options.queuePosition,
    settled: (id, ms, signal) => settled(options, id, ms, signal),
  };
}

async function typeOf(options: ManagerOptions, actor: Actor, id: string): Promise<ServerType> {
  const { row } = requireVisible(await readInstance(options.db, id), id, actor);
  const type = await options.catalog.getById(row.mcp_type_id);
  if (type === undefined) throw notVisible(id);
  return type;
}

async function newAccessToken(options: ManagerOptions, actor: Actor, id: string): Promise<WithToken> {
  const accessToken = newToken('mcp_');
  const hash = hashToken(accessToken).toString('hex');
  const instance = await options.db.tx(async (tx) => {
    const found = requireVisible(await lockInstance(tx, id), id, actor);
    if (found.leaseOver)
      throw new Fault('lease_over', `the lease of "${found.row.name}" is over; renew it first`);
    await setAccessToken(tx, id, hash);
    await insertEvent(tx, {
      instanceId: id,
      userId: found.row.user_id,
      actorId: actor.userId,
      type: 'token_changed',
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
    return { ...found.row, access_token: hash };
  }, options.fence());
  await options.effects.replaceToken(instance);
  return { instance, accessToken };
}

/** Changes made by another process are not announced here: the row is read again at least this often. */
const lookAgainMs = 500;

async function settled(
  options: ManagerOptions,
  id: string,
  ms: number,
  signal?: AbortSignal,
): Promise<Instance> {
  const endMs = monotonicMs() + ms;
  for (;;) {
    // Listens before it looks, so that a change between the two is not slept through.
    const looked = new AbortController();
    const leftMs = Math.max(endMs - monotonicMs(), 0);
    const changed = options.changes.next(id, Math.min(leftMs, lookAgainMs), looked.signal);
    const found = await readInstance(options.db, id).catch((error: unknown) => {
      looked.abort();
      throw error;
    });
    const waits = found !== undefined && (found.row.status === 'pending' || found.row.status === 'stopping');
    if (!waits || leftMs === 0 || signal?.aborted) looked.abort();
    if (found === undefined) throw new Fault('not_found', `there is no instance ${id}`);
    if (looked.signal.aborted) return found.row;
    await changed;
  }
}
