// From rows to what clients see. Pure. Times become RFC 3339 in UTC; what clients have no business with stays behind.
import type { ApiTokenRow } from '../db/queries/api-tokens.ts';
import type { EventRow } from '../db/queries/event-views.ts';
import type { InstanceViewRow } from '../db/queries/instance-views.ts';
import type { MasterKeyRow, NodeRow } from '../db/queries/node-views.ts';
import type { PortRow } from '../db/queries/port-views.ts';
import type { SettingRow } from '../db/queries/settings.ts';
import type { UserRow } from '../db/queries/users.ts';
import { type Scope, scopes } from '../domain/scopes.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { ApiKeyEntry } from './context.ts';
import type {
  ApiKeyView,
  ApiTokenView,
  EventView,
  InstanceView,
  MasterKeyView,
  McpTypeView,
  NodeView,
  PortView,
  SettingView,
  StatsView,
  UserView,
} from './contract.ts';

const iso = (time: Date): string => time.toISOString();
const isoOrNull = (time: Date | null): string | null => time?.toISOString() ?? null;

/** @param queuePosition where its start waits, as the manager knows it */
export function instanceView(row: InstanceViewRow, queuePosition: number | null): InstanceView {
  const { sort_key: _, ...rest } = row;
  return {
    ...rest,
    queue_position: queuePosition,
    created_at: iso(row.created_at),
    started_at: isoOrNull(row.started_at),
    ready_at: isoOrNull(row.ready_at),
    stopped_at: isoOrNull(row.stopped_at),
    last_accessed: isoOrNull(row.last_accessed),
    expires_at: iso(row.expires_at),
    server_time: iso(row.server_time),
  };
}

export function statsView(row: InstanceViewRow): StatsView {
  const number = (name: string): number | null => {
    const value = row.stats[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  };
  const count = (name: string): number => Math.trunc(number(name) ?? 0);
  const processes = number('processes');
  const checkedAt = row.stats.checked_at;
  return {
    instance_id: row.id,
    cpu_percent: number('cpu_percent'),
    memory_bytes: number('memory_bytes'),
    processes: processes === null ? null : Math.trunc(processes),
    shim_memory_bytes: number('shim_memory_bytes'),
    requests: count('requests'),
    in_flight: count('in_flight'),
    sessions: count('sessions'),
    restarts: row.restarts,
    checked_at: typeof checkedAt === 'string' ? checkedAt : null,
    server_time: iso(row.server_time),
  };
}

export function typeView(type: ServerType, available: boolean): McpTypeView {
  return {
    name: type.name,
    display_name: type.display_name,
    description: type.description,
    icon_url: type.icon_url,
    package: type.package_name,
    version: type.package_version,
    transport: type.transport,
    era: type.era,
    needs_api_key: type.key_variable !== null,
    key_variable: type.key_variable,
    inputs: type.inputs.map((input) => ({
      name: input.name,
      is_required: input.is_required,
      is_secret: input.is_secret,
      ...(input.description === undefined ? {} : { description: input.description }),
      ...(input.default === undefined ? {} : { default: input.default }),
      ...(input.choices === undefined ? {} : { choices: [...input.choices] }),
    })),
    max_duration_minutes: type.max_duration_minutes,
    idle_minutes: type.idle_minutes,
    egress: type.egress,
    resource_limits: { ...type.resource_limits },
    is_active: type.is_active,
    origin: type.origin,
    available,
    registry_name: type.registry_name,
    egress_hosts: [...type.egress_hosts],
    read_only_paths: [...type.read_only_paths],
    source: type.source,
    integrity: type.integrity,
    license: type.license,
    trial:
      type.trial === null
        ? null
        : {
            ...type.trial,
            tools: type.trial.tools.map((tool) => ({ ...tool, annotations: { ...tool.annotations } })),
            last_lines: [...type.trial.last_lines],
          },
  };
}

export function apiKeyView(key: ApiKeyEntry): ApiKeyView {
  return {
    mcp_type: key.mcp_type,
    key_hint: key.key_hint,
    created_at: iso(key.created_at),
    updated_at: iso(key.updated_at),
    expires_at: isoOrNull(key.expires_at),
  };
}

export function eventView(row: EventRow): EventView {
  const { sort_key: _, ...rest } = row;
  return { ...rest, created_at: iso(row.created_at) };
}

export function userView(row: UserRow): UserView {
  return { ...row, disabled_at: isoOrNull(row.disabled_at), created_at: iso(row.created_at) };
}

export function apiTokenView(row: ApiTokenRow): ApiTokenView {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes.filter((scope): scope is Scope => scopes.includes(scope as Scope)),
    allowed_cidrs: row.allowed_cidrs,
    rate_limit_per_minute: row.rate_limit_per_minute,
    expires_at: isoOrNull(row.expires_at),
    last_used_at: isoOrNull(row.last_used_at),
    created_at: iso(row.created_at),
  };
}

export function portView(row: PortRow): PortView {
  return {
    ...row,
    allocated_at: isoOrNull(row.allocated_at),
    released_at: isoOrNull(row.released_at),
    quarantined_until: isoOrNull(row.quarantined_until),
  };
}

export function nodeView(row: NodeRow): NodeView {
  return { ...row, lease_until: isoOrNull(row.lease_until) };
}

export function settingView(row: SettingRow): SettingView {
  return { ...row, updated_at: iso(row.updated_at) };
}

export function masterKeyView(row: MasterKeyRow): MasterKeyView {
  return {
    key_id: row.key_id,
    state: row.state,
    created_at: iso(row.created_at),
    retired_at: isoOrNull(row.retired_at),
    sealed_keys: row.sealed,
  };
}
