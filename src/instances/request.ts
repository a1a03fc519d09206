// The request for a new instance: everything is checked first, then one transaction locks the user (quota), leases a
// port and writes the row. What is refused leaves no port and no row behind. It starts nothing.
import { randomBytes, randomUUIDv7 } from 'node:crypto';
import { Fault, fieldFault } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import { brokenConstraint, type Db, type Fence, type Tx } from '../db/pool.ts';
import { insertCreationRefused, insertEvent } from '../db/queries/events.ts';
import { insertInstance } from '../db/queries/instances.ts';
import { assignPort } from '../db/queries/ports.ts';
import type { Instance } from '../domain/instance.ts';
import { refuseDuration } from '../domain/lease.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Allocator } from '../ports/allocator.ts';
import { holdCreations, holdQuota } from './quota.ts';
import type { Actor, CreateInput, WithToken } from './types.ts';

export interface RequestOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly allocator: Allocator;
  readonly urlOf: (port: number) => string;
  readonly settings: RequestSettings;
  readonly catalog: RequestCatalog;
  /** The id of a user's usable key for a type, or null. Opens nothing. */
  readonly findKey: (userId: string, typeId: string) => Promise<string | null>;
  /** Throws a Fault when this node takes no new work. */
  readonly admit: () => void;
}

/** Settings that requests are held to, read live. */
export interface RequestSettings {
  defaultMinutes(): Promise<number>;
  maxInstancesPerUser(): Promise<number>;
  maxLeaseMinutes(): Promise<number>;
  /** Instances one user may create within an hour. */
  maxCreationsPerHour(): Promise<number>;
}

export interface RequestCatalog {
  get(name: string): Promise<ServerType | undefined>;
  getById(id: string): Promise<ServerType | undefined>;
  available(type: ServerType): Promise<boolean>;
  /** What to keep of it; throws invalid_field for inputs the type does not declare. */
  checkConfig(type: ServerType, config: Record<string, unknown>): Record<string, unknown>;
}

/**
 * Writes a pending instance and its access token. The caller launches it.
 * @throws Fault unknown_type, type_disabled, type_unavailable, invalid_field, api_key_required, quota_exceeded,
 *   no_port_free, name_taken
 */
export async function request(options: RequestOptions, actor: Actor, input: CreateInput): Promise<WithToken> {
  const userId = actor.userId;
  if (userId === null) throw new Fault('forbidden', 'an instance needs an owner');
  const type = await requireType(options, input.typeName);
  const minutes =
    input.minutes ?? Math.min(await options.settings.defaultMinutes(), type.max_duration_minutes);
  const fault = refuseDuration(minutes, type.max_duration_minutes);
  if (fault !== undefined) throw fault;
  const config = options.catalog.checkConfig(type, input.config ?? {});
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
  const [quota, perHour, range] = await Promise.all([
    options.settings.maxInstancesPerUser(),
    options.settings.maxCreationsPerHour(),
    options.allocator.range(),
  ]);
  const insert = async (tx: Tx): Promise<Instance> => {
    await holdQuota(tx, userId, quota);
    await holdCreations(tx, userId, perHour);
    const port = await options.allocator.lock(tx, range, null);
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
      idle_minutes: input.idleMinutes ?? type.idle_minutes,
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
    return { instance, accessToken };
  } catch (error) {
    if (error instanceof Fault && error.code === 'rate_limited') {
      await insertCreationRefused(options.db, { userId, perHour, ip: actor.ip, userAgent: actor.userAgent });
    }
    if (brokenConstraint(error) === 'idx_mcp_instances_name') {
      throw new Fault('name_taken', `you already have an instance named "${input.name}"`, {
        errors: [{ pointer: '/name', message: 'choose another name' }],
        cause: error,
      });
    }
    throw error;
  }
}

async function requireType(options: RequestOptions, name: string): Promise<ServerType> {
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
