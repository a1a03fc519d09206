// The boundary between the API and its clients (CLI, dashboard, scripts): the shapes of interface.md as zod schemas.
// OpenAPI is generated from them. Fields are only ever added.
import { z } from 'zod';
import { clients } from '../domain/client-config.ts';
import { healths, isolationLevels, statuses, stopReasons } from '../domain/instance.ts';
import { scopes } from '../domain/scopes.ts';
import { eras, trialStates } from '../domain/server-type.ts';

const time = z.iso.datetime({ offset: true }).meta({ description: 'RFC 3339, UTC' });
const minutes = z.number().meta({ description: 'Minutes; may be a fraction, at least 0.1' });

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    errors: z.array(z.object({ pointer: z.string(), message: z.string() })),
    request_id: z.string(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457; code is listed in docs/errors.md' });
export type Problem = z.infer<typeof problemSchema>;

export const instanceSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    mcp_type: z.string(),
    user_id: z.uuid().nullable(),
    status: z.enum(statuses),
    stop_reason: z.enum(stopReasons).nullable(),
    health: z.enum(healths),
    error_message: z.string().nullable(),
    exit_code: z.int().nullable(),
    access_url: z.string(),
    assigned_port: z.int().nullable(),
    process_id: z.int().nullable(),
    node_id: z.string(),
    generation: z.int(),
    restarts: z.int(),
    isolation: z.enum(isolationLevels).nullable(),
    queue_position: z.int().nullable().meta({
      description:
        'Pending: its place among the starts that wait on its node, 1 being the next; null: it does not wait',
    }),
    config: z.record(z.string(), z.unknown()),
    stats: z.record(z.string(), z.unknown()),
    created_at: time,
    started_at: time.nullable(),
    ready_at: time.nullable(),
    stopped_at: time.nullable(),
    last_accessed: time.nullable(),
    expires_at: time,
    server_time: time,
  })
  .meta({ id: 'Instance' });
export type InstanceView = z.infer<typeof instanceSchema>;

export const instanceWithTokenSchema = instanceSchema
  .extend({ access_token: z.string().meta({ description: 'Shown only here; it is not stored' }) })
  .meta({ id: 'InstanceWithToken' });
export type InstanceWithToken = z.infer<typeof instanceWithTokenSchema>;

/** Instance names go into client configuration and URLs: lower-case letters, digits and single hyphens. */
const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}$/,
    'lower-case letters, digits and single hyphens, 1 to 63 characters',
  );

export const createInstanceSchema = z
  .strictObject({
    mcp_type: z.string().min(1).max(50),
    duration_minutes: minutes.optional(),
    name: nameSchema.optional(),
    config: z.record(z.string(), z.unknown()).optional().meta({
      description: 'What the type asks for, by the name of the input; or under `environment` and `arguments`',
    }),
    idle_minutes: z.number().min(0.01).max(525_600).optional().meta({
      description: 'Stop its processes after so many minutes without a request; the next request wakes it',
    }),
  })
  .meta({ id: 'CreateInstance' });

export const durationSchema = z.strictObject({ duration_minutes: minutes }).meta({ id: 'Duration' });
export const optionalDurationSchema = z.strictObject({ duration_minutes: minutes.optional() });

const trialSchema = z
  .object({
    state: z.enum(trialStates).meta({ description: 'waiting: its server has not been started yet' }),
    at: time.nullable(),
    isolation: z.enum(isolationLevels).nullable(),
    duration_ms: z.int().nullable(),
    protocol_version: z.string().nullable(),
    server: z.object({ name: z.string(), version: z.string() }).nullable(),
    tools: z.array(
      z.object({
        name: z.string(),
        title: z.string().nullable(),
        description: z.string().nullable(),
        annotations: z.record(z.string(), z.boolean()),
      }),
    ),
    tools_total: z.int(),
    problem: z.string().nullable(),
    last_lines: z.array(z.string()),
  })
  .meta({
    description: 'What starting its server once showed, without a network and without a real key',
  });

export const mcpTypeSchema = z
  .object({
    name: z.string(),
    display_name: z.string(),
    description: z.string().nullable(),
    icon_url: z.string().nullable(),
    package: z.string(),
    version: z.string(),
    transport: z.enum(['stdio', 'streamable-http']),
    era: z.enum(eras),
    needs_api_key: z.boolean(),
    key_variable: z.string().nullable(),
    inputs: z.array(
      z.object({
        name: z.string(),
        description: z.string().optional(),
        is_required: z.boolean(),
        is_secret: z.boolean(),
        default: z.string().optional(),
        choices: z.array(z.string()).optional(),
      }),
    ),
    max_duration_minutes: z.int(),
    idle_minutes: z.int().nullable(),
    egress: z.enum(['none', 'allow-list', 'open']),
    resource_limits: z.record(z.string(), z.unknown()),
    is_active: z.boolean(),
    origin: z.enum(['shipped', 'admin']),
    available: z.boolean().meta({ description: 'Whether its package is installed here' }),
    registry_name: z.string().nullable(),
    egress_hosts: z.array(z.string()),
    read_only_paths: z.array(z.string()),
    source: z
      .string()
      .nullable()
      .meta({ description: 'Where it was added from; null for those that are shipped' }),
    integrity: z.string().nullable().meta({ description: 'Of the package, as npm checked it' }),
    license: z.string().nullable(),
    trial: trialSchema.nullable().meta({ description: 'Null: its server was never tried' }),
  })
  .meta({ id: 'McpType' });
export type McpTypeView = z.infer<typeof mcpTypeSchema>;

/** A new type: a document of the registry format (server.json), ours under _meta. */
const typeDocumentSchema = z.looseObject({ name: z.string(), packages: z.array(z.looseObject({})) });
/** A new type from outside: an npm package, or a document and where it was read. */
const typeWishSchema = z
  .strictObject({
    source: z.string().max(1_000).optional().meta({
      description: '"npm:PACKAGE[@VERSION]"; with a document: where it was read',
    }),
    document: z.looseObject({}).optional(),
    name: z.string().max(50).optional(),
    egress: z.enum(['none', 'allow-list', 'open']).optional(),
    egress_hosts: z.array(z.string().max(260)).max(100).optional(),
    key_variable: z.string().max(100).optional(),
    arguments: z.array(z.string().max(2_000)).max(50).optional(),
  })
  .refine(({ source, document }) => source !== undefined || document !== undefined, {
    path: ['source'],
    message: 'required, unless there is a document',
  });
export const createTypeSchema = z.union([typeDocumentSchema, typeWishSchema]).meta({ id: 'CreateType' });
export const createTypeQuerySchema = z.strictObject({
  enable: z.stringbool().optional().meta({
    description: 'Switch it on unseen: it is not installed first, and its server is not tried',
  }),
});
export const patchTypeSchema = z
  .strictObject({
    is_active: z.boolean().optional(),
    display_name: z.string().min(1).max(100).optional(),
    description: z.string().max(2_000).optional(),
    max_duration_minutes: z.int().min(1).max(525_600).optional(),
    idle_minutes: z.int().min(1).nullable().optional(),
    legacy_sse: z.boolean().optional(),
  })
  .meta({ id: 'PatchType' });

export const apiKeySchema = z
  .object({
    mcp_type: z.string(),
    key_hint: z.string().nullable(),
    created_at: time,
    updated_at: time,
    expires_at: time.nullable(),
  })
  .meta({ id: 'ApiKey' });
export type ApiKeyView = z.infer<typeof apiKeySchema>;
export const storedApiKeySchema = apiKeySchema
  .extend({
    roll: z
      .object({
        moved: z.array(z.uuid()),
        restarted: z.array(z.uuid()),
        kept: z.array(z.uuid()),
        refused: z.array(
          z.object({ id: z.uuid(), code: z.string(), detail: z.string(), last_lines: z.array(z.string()) }),
        ),
      })
      .optional()
      .meta({
        description:
          'With roll: instances that a process with the new key has taken over, those restarted with it, those that keep the old one, and why',
      }),
  })
  .meta({ id: 'StoredApiKey' });
export type StoredApiKeyView = z.infer<typeof storedApiKeySchema>;
export const putApiKeySchema = z
  .strictObject({
    api_key: z.string().min(1).max(8_192),
    expires_at: time.nullable().optional(),
    roll: z.boolean().optional().meta({ description: 'Put it into your running instances of this type' }),
  })
  .meta({ id: 'PutApiKey' });

export const logLineSchema = z
  .object({
    id: z.uuid(),
    timestamp: time,
    level: z.enum(['debug', 'info', 'warn', 'error']),
    source: z.enum(['process', 'system', 'api']),
    seq: z.int(),
    message: z.string(),
    metadata: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'LogLine' });
export type LogLineView = z.infer<typeof logLineSchema>;

export const eventSchema = z
  .object({
    id: z.uuid(),
    mcp_instance_id: z.uuid().nullable(),
    user_id: z.uuid().nullable(),
    actor_id: z.uuid().nullable(),
    event_type: z.string(),
    event_data: z.record(z.string(), z.unknown()),
    ip_address: z.string().nullable(),
    user_agent: z.string().nullable(),
    created_at: time,
  })
  .meta({ id: 'Event' });
export type EventView = z.infer<typeof eventSchema>;

export const statsSchema = z
  .object({
    instance_id: z.uuid(),
    cpu_percent: z.number().nullable(),
    memory_bytes: z.number().nullable(),
    processes: z.int().nullable(),
    shim_memory_bytes: z.number().nullable(),
    requests: z.int(),
    in_flight: z.int(),
    sessions: z.int(),
    restarts: z.int(),
    checked_at: time.nullable(),
    server_time: time,
  })
  .meta({ id: 'Stats' });
export type StatsView = z.infer<typeof statsSchema>;

export const usageSampleSchema = z
  .object({
    at: time,
    cpu_percent: z.number().nullable(),
    memory_bytes: z.number().nullable(),
    requests: z.int().meta({ description: 'Counted since its shim began: the highest of the span' }),
    in_flight: z.number(),
    sessions: z.number(),
  })
  .meta({ id: 'UsageSample' });
export type UsageSampleView = z.infer<typeof usageSampleSchema>;
export const usageCourseSchema = z
  .object({
    instance_id: z.uuid(),
    at: z.array(time),
    cpu_percent: z.array(z.number().nullable()),
    memory_bytes: z.array(z.number().nullable()),
  })
  .meta({ id: 'UsageCourse', description: 'Columns of equal length, oldest first' });
export type UsageCourseView = z.infer<typeof usageCourseSchema>;

export const userSchema = z
  .object({
    id: z.uuid(),
    email: z.string(),
    name: z.string(),
    role: z.enum(['user', 'admin']),
    max_instances: z.int().nullable(),
    disabled_at: time.nullable(),
    created_at: time,
  })
  .meta({ id: 'User' });
export type UserView = z.infer<typeof userSchema>;
export const createUserSchema = z
  .strictObject({
    email: z.email().max(255),
    name: z.string().min(1).max(255),
    role: z.enum(['user', 'admin']).default('user'),
    max_instances: z.int().min(0).nullable().optional(),
  })
  .meta({ id: 'CreateUser' });
export const patchUserSchema = z
  .strictObject({
    name: z.string().min(1).max(255).optional(),
    role: z.enum(['user', 'admin']).optional(),
    max_instances: z.int().min(0).nullable().optional(),
    disabled: z.boolean().optional(),
  })
  .meta({ id: 'PatchUser' });

export const apiTokenSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    prefix: z.string(),
    scopes: z.array(z.enum(scopes)),
    allowed_cidrs: z.array(z.string()).nullable(),
    rate_limit_per_minute: z.int().nullable(),
    expires_at: time.nullable(),
    last_used_at: time.nullable(),
    created_at: time,
  })
  .meta({ id: 'ApiToken' });
export type ApiTokenView = z.infer<typeof apiTokenSchema>;
export const createTokenSchema = z
  .strictObject({
    name: z.string().min(1).max(100),
    scopes: z.array(z.enum(scopes)).min(1).optional(),
    expires_at: time.nullable().optional(),
    allowed_cidrs: z
      .array(z.union([z.cidrv4(), z.cidrv6()]))
      .min(1)
      .nullable()
      .optional(),
    rate_limit_per_minute: z.int().min(1).nullable().optional(),
    user_id: z.uuid().optional().meta({ description: 'Admins only: whose token it is' }),
  })
  .meta({ id: 'CreateToken' });
export const apiTokenWithSecretSchema = apiTokenSchema
  .extend({ api_token: z.string() })
  .meta({ id: 'ApiTokenWithSecret' });

export const portSchema = z
  .object({
    node_id: z.string(),
    port: z.int(),
    is_available: z.boolean(),
    mcp_instance_id: z.uuid().nullable(),
    allocated_at: time.nullable(),
    released_at: time.nullable(),
    quarantined_until: time.nullable(),
    quarantine_reason: z.string().nullable(),
  })
  .meta({ id: 'Port' });
export type PortView = z.infer<typeof portSchema>;

export const nodeSchema = z
  .object({
    id: z.string(),
    epoch: z.int(),
    state: z.enum(['active', 'draining', 'lost']),
    lease_until: time.nullable(),
    version: z.string(),
    capacity: z.record(z.string(), z.unknown()),
    holder: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Node' });
export type NodeView = z.infer<typeof nodeSchema>;

export const settingSchema = z
  .object({ key: z.string(), value: z.unknown(), description: z.string().nullable(), updated_at: time })
  .meta({ id: 'Setting' });
export type SettingView = z.infer<typeof settingSchema>;

export const clientConfigSchema = z
  .object({
    client: z.enum(clients),
    title: z.string(),
    format: z.enum(['command', 'json', 'toml', 'yaml']),
    where: z.string(),
    content: z.string(),
    command: z.array(z.string()).nullable(),
    document: z.record(z.string(), z.unknown()).nullable(),
    token_variable: z.string().nullable(),
    link: z.string().nullable(),
    notes: z.array(z.string()),
  })
  .meta({ id: 'ClientConfig', description: 'Ready to paste; a placeholder stands for the access token' });

export const meSchema = userSchema
  .extend({
    effective_max_instances: z.int(),
    token: z.object({
      id: z.uuid(),
      scopes: z.array(z.enum(scopes)),
      acts_as_admin: z.boolean(),
      expires_at: time.nullable(),
    }),
  })
  .meta({ id: 'Me' });
export type MeView = z.infer<typeof meSchema>;

export const loginSchema = z
  .strictObject({
    login_code: z.string().min(1).max(512).optional(),
    api_token: z.string().min(1).max(512).optional(),
  })
  .meta({ id: 'Login' });

export const sessionSchema = z
  .object({
    csrf_token: z.string().meta({ description: 'Goes into X-CSRF-Token of every request but GET and HEAD' }),
    expires_at: time,
    server_time: time,
    user: z.object({ id: z.uuid(), email: z.string(), name: z.string(), role: z.enum(['user', 'admin']) }),
    acts_as_admin: z.boolean(),
    scopes: z.array(z.enum(scopes)),
  })
  .meta({ id: 'Session', description: 'A login to the dashboard, not an MCP session' });
export type SessionView = z.infer<typeof sessionSchema>;

export const loginLinkSchema = z
  .object({ url: z.string(), expires_at: time, server_time: time })
  .meta({ id: 'LoginLink' });
export type LoginLinkView = z.infer<typeof loginLinkSchema>;

const count = z.int().min(0);
export const summarySchema = z
  .object({
    instances: z.object(Object.fromEntries(statuses.map((status) => [status, count]))),
    leases_ending_within_hour: count,
    ports: z
      .object({ free: count, held: count, quarantined: count })
      .nullable()
      .meta({ description: 'Of all nodes; null but for admins' }),
    server_time: time,
  })
  .meta({ id: 'Summary' });
export type SummaryView = z.infer<typeof summarySchema>;

export const reportSchema = z
  .object({
    ready: z.boolean(),
    version: z.string(),
    uptime_s: count,
    server_time: time,
    database: z.object({
      ok: z.boolean(),
      latency_ms: z
        .number()
        .nullable()
        .meta({ description: 'Of one question; null where none was answered' }),
    }),
    details: z
      .object({
        queue: z.object({ depth: count, active: count, oldest_s: count }).nullable(),
        logs: z.object({ spools: count, lag_ms: count, problem: z.string().nullable() }),
        keys: z.object({ ok: z.boolean(), problem: z.string().nullable() }),
        isolation: z.object({
          level: z.enum(isolationLevels),
          missing: z.array(
            z.object({ level: z.enum(isolationLevels), meaning: z.string(), reason: z.string() }),
          ),
        }),
        admission: z.object({ running: count, waiting: count }),
        nodes: z.array(nodeSchema).nullable(),
        event_loop: z
          .object({ mean_ms: z.number(), p99_ms: z.number() })
          .meta({ description: 'How late the supervisor was since it was last asked' }),
        database_connections: z.object({ total: count, idle: count, waiting: count }),
      })
      .nullable()
      .meta({ description: 'Null but for admins; in it, what the database did not tell in time is null' }),
  })
  .meta({ id: 'HealthReport' });
export type ReportView = z.infer<typeof reportSchema>;
export type ReportDetails = NonNullable<z.infer<typeof reportSchema>['details']>;

export const masterKeySchema = z
  .object({
    key_id: z.string(),
    state: z.enum(['active', 'decrypt', 'retired']),
    created_at: time,
    retired_at: time.nullable(),
    sealed_keys: z.int().meta({ description: 'API keys sealed under it' }),
  })
  .meta({ id: 'MasterKey' });
export type MasterKeyView = z.infer<typeof masterKeySchema>;

export const drainRequestSchema = z
  .strictObject({
    end_instances: z.boolean().optional().meta({ description: 'End every instance, then the daemon' }),
  })
  .meta({ id: 'DrainRequest' });
export const drainSchema = z.object({ node_id: z.string(), draining: z.boolean() }).meta({ id: 'Drain' });

export const healthSchema = z
  .object({ ready: z.boolean(), checks: z.record(z.string(), z.string()) })
  .meta({ id: 'Health' });

export const listQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});

const instanceSorts = ['created_at', 'expires_at', 'last_accessed', 'name', 'status', 'mcp_type'] as const;

export const instanceQuerySchema = listQuerySchema.extend({
  status: z.enum(statuses).optional(),
  mcp_type: z.string().max(50).optional(),
  user_id: z.uuid().optional(),
  include_ended: z.stringbool().optional().meta({ description: 'Also those whose lease is over' }),
  q: z.string().min(1).max(63).optional().meta({ description: 'Part of the name, or how the id begins' }),
  sort: z
    .enum(instanceSorts.flatMap((column) => [column, `-${column}`] as const))
    .default('-created_at')
    .meta({ description: 'With a hyphen: from the end' }),
});

export const logQuerySchema = z.strictObject({
  since: time.optional(),
  until: time.optional(),
  level: z.enum(['debug', 'info', 'warn', 'error']).optional().meta({ description: 'This level and above' }),
  source: z.enum(['process', 'system', 'api']).optional(),
  q: z
    .string()
    .min(1)
    .max(200)
    .refine((text) => !text.includes('\0'), 'must not hold a NUL character')
    .optional()
    .meta({ description: 'Part of the message, literally; upper and lower case are alike' }),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  cursor: z.string().max(200).optional(),
});

const freeForm = z.record(z.string(), z.unknown());
/** A tool as its server describes it: its words and its schema are the server's own. */
export const toolSchema = z
  .object({
    name: z.string(),
    title: z.string().optional(),
    description: z.string().optional(),
    input_schema: freeForm,
    annotations: freeForm.optional(),
  })
  .meta({ id: 'Tool' });
export type ToolView = z.infer<typeof toolSchema>;

export const callToolSchema = z.strictObject({ arguments: freeForm.optional() });

export const toolResultSchema = z
  .object({
    content: z.array(freeForm),
    structured_content: z.unknown().optional(),
    is_error: z.boolean().meta({ description: 'The tool, or its server, says that it failed' }),
  })
  .meta({ id: 'ToolResult' });
export type ToolResultView = z.infer<typeof toolResultSchema>;

/** The answer around one object. */
export const dataOf = <T extends z.ZodType>(schema: T) => z.object({ data: schema });
/** The answer around a list. */
export const listOf = <T extends z.ZodType>(schema: T) =>
  z.object({
    data: z.array(schema),
    meta: z.object({ next_cursor: z.string().nullable(), server_time: time }),
  });
