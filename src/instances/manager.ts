// What people may ask of instances: create, stop, restart, restore, renew, extend, remove, new token. It checks the
// wish, writes it through apply, and hands the effects on. It refuses before it takes anything: a wish that fails
// leaves no port, no row and no process behind.
import { randomBytes, randomUUIDv7 } from 'node:crypto';
import { monotonicMs } from '../base/clock.ts';
import { Fault, fieldFault } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import { brokenConstraint, type Db, type Fence, type Tx } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import {
  countAgainstQuota,
  insertInstance,
  listAtWorkOf,
  lockInstance,
  readInstance,
  setAccessToken,
} from '../db/queries/instances.ts';
import { assignPort } from '../db/queries/ports.ts';
import { lockUserForQuota } from '../db/queries/quota.ts';
import type { Instance, StopReason } from '../domain/instance.ts';
import { extendedUntil, refuseDuration } from '../domain/lease.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Allocator } from '../ports/allocator.ts';
import type { Apply, Occurrence } from './apply.ts';
import type { Changes } from './changes.ts';
import type { Effects } from './effects.ts';
import type { Actor, CreateInput, Manager, WithToken } from './types.ts';

export interface ManagerOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly apply: Apply;
  readonly effects: Effects;
  readonly changes: Changes;
  readonly allocator: Allocator;
  readonly urlOf: (port: number) => string;
  readonly settings: ManagerSettings;
  readonly catalog: ManagerCatalog;
  /** The id of a user's usable key for a type, or null. Opens nothing. */
  readonly findKey: (userId: string, typeId: string) => Promise<string | null>;
  /** Throws a Fault when this node takes no new work. */
  readonly admit: () => void;
}

/** Settings the manager reads live. */
export interface ManagerSettings {
  defaultMinutes(): Promise<number>;
  maxInstancesPerUser(): Promise<number>;
  maxLeaseMinutes(): Promise<number>;
}

export interface ManagerCatalog {
  get(name: string): Promise<ServerType | undefined>;
  getById(id: string): Promise<ServerType | undefined>;
  available(type: ServerType): Promise<boolean>;
  /** Throws invalid_field for inputs the type does not declare. */
  checkConfig(type: ServerType, config: Record<string, unknown>): void;
}

export function createManager(options: ManagerOptions): Manager {
  const { effects } = options;

  const act = async (id: string, occurrence: Occurrence): Promise<Instance> => {
    const outcome = await options.apply(id, occurrence);
    effects.follow(outcome);
    return outcome.row;
  };

  return {
    create: (actor, input) => create(options, actor, input),
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
    settled: (id, ms, signal) => settled(options, id, ms, signal),
  };
}

/** Ends every instance of a user at work. @returns how many */
export async function stopAllOf(
  options: ManagerOptions,
  manager: Manager,
  actor: Actor,
  userId: string,
  reason: StopReason,
): Promise<number> {
  const ids = await listAtWorkOf(options.db, userId);
  await Promise.all(ids.map((id) => manager.stop(actor, id, reason)));
  return ids.length;
}

async function create(options: ManagerOptions, actor: Actor, input: CreateInput): Promise<WithToken> {
  const userId = actor.userId;
  if (userId === null) throw new Fault('forbidden', 'an instance needs an owner');
  const type = await requireType(options, input.typeName);
  const minutes =
    input.minutes ?? Math.min(await options.settings.defaultMinutes(), type.max_duration_minutes);
  const fault = refuseDuration(minutes, type.max_duration_minutes);
  if (fault !== undefined) throw fault;
  const config = input.config ?? {};
  options.catalog.checkConfig(type, config);
  const apiKeyId = type.key_variable === null ? null : await options.findKey(userId, type.id);
  if (type.key_variable !== null && apiKeyId === null) {
    throw fieldFault(
      'api_key_required',
      '/mcp_type',
      `type "${type.name}" needs an API key and you have stored none: "minimcp keys set ${type.name}"`,
    );
  }
  options.admit();

  const accessToken = newToken('mcp_');
  const id = randomUUIDv7();
  const quota = await options.settings.maxInstancesPerUser();
  const insert = async (tx: Tx): Promise<Instance> => {
    await holdQuota(tx, userId, quota);
    const port = await options.allocator.lock(tx, null);
    const row = await insertInstance(tx, {
      id,
      user_id: userId,
      mcp_type_id: type.id,
      api_key_id: apiKeyId,
      access_token: hashToken(accessToken).toString('hex'),
      access_url: options.urlOf(port),
      assigned_port: port,
      config,
      name: input.name ?? `${type.name}-${randomBytes(3).toString('hex')}`,
      node_id: options.nodeId,
      minutes,
    });
    await assignPort(tx, options.nodeId, port, id);
    await insertEvent(tx, {
      instanceId: id,
      userId,
      actorId: userId,
      type: 'created',
      data: { mcp_type: type.name, minutes, port, name: row.name },
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
    return row;
  };
  try {
    const instance = await options.db.tx(insert, options.fence());
    options.effects.follow({ row: instance, effects: ['launch'], changed: true });
    return { instance, accessToken };
  } catch (error) {
    if (brokenConstraint(error) === 'idx_mcp_instances_name') {
      throw new Fault('name_taken', `you already have an instance named "${input.name}"`, {
        errors: [{ pointer: '/name', message: 'choose another name' }],
        cause: error,
      });
    }
    throw error;
  }
}

async function requireType(options: ManagerOptions, name: string): Promise<ServerType> {
  const type = await options.catalog.get(name);
  if (type === undefined) throw fieldFault('unknown_type', '/mcp_type', `there is no server type "${name}"`);
  if (!type.is_active)
    throw fieldFault('type_disabled', '/mcp_type', `server type "${name}" is switched off`);
  if (!(await options.catalog.available(type))) {
    throw fieldFault(
      'type_unavailable',
      '/mcp_type',
      `package ${type.package_name}@${type.package_version} of type "${name}" is not installed`,
    );
  }
  return type;
}

/** Locks the user's row, so that of many who ask at once each sees what the one before took. */
async function holdQuota(tx: Tx, userId: string, general: number): Promise<void> {
  const user = await lockUserForQuota(tx, userId);
  if (user === undefined) throw new Fault('forbidden', 'this user is disabled or gone');
  const quota = user.max_instances ?? general;
  const used = await countAgainstQuota(tx, userId);
  if (used >= quota) {
    throw new Fault('quota_exceeded', `you have ${used} instances at work and may have ${quota}`, {
      retryAfterS: 60,
    });
  }
}

async function typeOf(options: ManagerOptions, actor: Actor, id: string): Promise<ServerType> {
  const found = await readInstance(options.db, id);
  const mine =
    found !== undefined &&
    found.row.deleted_at === null &&
    (actor.role === 'admin' || found.row.user_id === actor.userId);
  const type = mine ? await options.catalog.getById(found.row.mcp_type_id) : undefined;
  if (type === undefined) throw new Fault('not_found', `there is no instance ${id} that you may see`);
  return type;
}

async function newAccessToken(options: ManagerOptions, actor: Actor, id: string): Promise<WithToken> {
  const accessToken = newToken('mcp_');
  const hash = hashToken(accessToken).toString('hex');
  const instance = await options.db.tx(async (tx) => {
    const found = await lockInstance(tx, id);
    if (
      found === undefined ||
      found.row.deleted_at !== null ||
      (actor.role !== 'admin' && found.row.user_id !== actor.userId)
    ) {
      throw new Fault('not_found', `there is no instance ${id} that you may see`);
    }
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
