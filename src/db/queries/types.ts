// Statements on mcp_types. Rows are checked as they come out: several columns may be null in the schema and are not
// here. What an admin has changed on a shipped type is remembered and survives the next release.
import { z } from 'zod';
import { isolationLevels } from '../../domain/instance.ts';
import { eras, type ServerType, type Trial, trialStates } from '../../domain/server-type.ts';
import type { Queryable } from '../pool.ts';

const strings = z.array(z.string());
const optional = <T extends z.ZodType>(schema: T) => schema.optional();

const trialSchema = z.object({
  state: z.enum(trialStates),
  at: z.string().nullable(),
  isolation: z.enum(isolationLevels).nullable(),
  duration_ms: z.number().nullable(),
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
  tools_total: z.number(),
  problem: z.string().nullable(),
  last_lines: strings,
});

const rowSchema = z.object({
  id: z.string(),
  name: z.string(),
  display_name: z.string(),
  description: z.string().nullable(),
  icon_url: z.string().nullable(),
  server_script: z.string(),
  config_template: z.record(z.string(), z.unknown()),
  required_scopes: strings.nullable().transform((value) => value ?? []),
  resource_limits: z
    .object({
      cpu: optional(z.string()),
      memory: optional(z.string()),
      processes: optional(z.number()),
      open_files: optional(z.number()),
      disk: optional(z.string()),
    })
    .nullable()
    .transform((value) => value ?? {}),
  max_duration_minutes: z
    .number()
    .nullable()
    .transform((value) => value ?? 60),
  is_active: z
    .boolean()
    .nullable()
    .transform((value) => value ?? true),
  origin: z.enum(['shipped', 'admin']),
  registry_name: z.string().nullable(),
  package_name: z.string(),
  package_version: z.string(),
  transport: z.enum(['stdio', 'streamable-http']),
  arguments: strings,
  environment: z.record(z.string(), z.string()),
  inputs: z.array(
    z.object({
      name: z.string(),
      description: optional(z.string()),
      is_required: z.boolean(),
      is_secret: z.boolean(),
      default: optional(z.string()),
      choices: optional(strings),
    }),
  ),
  key_variable: z.string().nullable(),
  era: z.enum(eras),
  egress: z.enum(['none', 'allow-list', 'open']),
  egress_hosts: strings,
  read_only_paths: strings,
  idle_minutes: z.number().nullable(),
  restart_policy: z.object({
    tries: optional(z.number()),
    backoff_seconds: optional(z.number()),
    backoff_seconds_max: optional(z.number()),
    reset_after_seconds: optional(z.number()),
  }),
  start_timeout_seconds: z.number(),
  legacy_sse: z.boolean(),
  source: z.string().nullable(),
  integrity: z.string().nullable(),
  license: z.string().nullable(),
  trial: trialSchema.nullable(),
  created_at: z.date(),
  updated_at: z.date(),
}) satisfies z.ZodType<ServerType>;

/** A row before the database has given it an id. */
export type NewServerType = Omit<ServerType, 'id' | 'is_active' | 'trial' | 'created_at' | 'updated_at'>;

/** Columns an admin may change afterwards. */
export interface TypePatch {
  readonly is_active?: boolean | undefined;
  readonly display_name?: string | undefined;
  readonly description?: string | undefined;
  readonly max_duration_minutes?: number | undefined;
  readonly idle_minutes?: number | null | undefined;
  readonly legacy_sse?: boolean | undefined;
}
const patchable = [
  'is_active',
  'display_name',
  'description',
  'max_duration_minutes',
  'idle_minutes',
  'legacy_sse',
] as const;

/** Columns of a new row, in the order of its parameters; JSON columns are given as text. */
const plainColumns = [
  'name',
  'display_name',
  'description',
  'icon_url',
  'server_script',
  'max_duration_minutes',
  'origin',
  'registry_name',
  'package_name',
  'package_version',
  'transport',
  'key_variable',
  'era',
  'egress',
  'idle_minutes',
  'start_timeout_seconds',
  'legacy_sse',
  'source',
  'integrity',
  'license',
] as const satisfies readonly (keyof NewServerType)[];
const jsonColumns = [
  'config_template',
  'required_scopes',
  'resource_limits',
  'arguments',
  'environment',
  'inputs',
  'egress_hosts',
  'read_only_paths',
  'restart_policy',
] as const satisfies readonly (keyof NewServerType)[];
const columns: readonly (keyof NewServerType)[] = [...plainColumns, ...jsonColumns];

function parametersOf(type: NewServerType): unknown[] {
  return [
    ...plainColumns.map((column) => type[column]),
    ...jsonColumns.map((column) => JSON.stringify(type[column])),
  ];
}

const insertInto = `INSERT INTO mcp_types (${columns.join(', ')})
  VALUES (${columns.map((_column, at) => `$${at + 1}`).join(', ')})`;

/** Writes a new type, switched on or with a trial to come; a taken name breaks mcp_types_name_key. */
export async function insertType(
  q: Queryable,
  type: NewServerType,
  trial: Trial | null,
): Promise<ServerType> {
  const given = parametersOf(type);
  const rows = await q.query(
    `INSERT INTO mcp_types (${columns.join(', ')}, is_active, trial)
     VALUES (${[...given, 0, 0].map((_value, at) => `$${at + 1}`).join(', ')}) RETURNING *`,
    [...given, trial === null, trial === null ? null : JSON.stringify(trial)],
  );
  return rowSchema.parse(rows[0]);
}

/** Stores what a trial showed, if the type still is at the version that was tried. */
export async function setTypeTrial(q: Queryable, id: string, version: string, trial: Trial): Promise<void> {
  await q.query(
    `UPDATE mcp_types SET trial = $3, updated_at = clock_timestamp() WHERE id = $1 AND package_version = $2`,
    [id, version, JSON.stringify(trial)],
  );
}

/** Deletes a type of an admin that no instance was ever made of. @returns false when there is one, or it is shipped */
export async function deleteUnusedType(q: Queryable, id: string): Promise<boolean> {
  const rows = await q.query(
    `DELETE FROM mcp_types WHERE id = $1 AND origin = 'admin'
       AND NOT EXISTS (SELECT FROM mcp_instances WHERE mcp_type_id = $1) RETURNING 1`,
    [id],
  );
  return rows.length === 1;
}

/**
 * Writes a shipped type, or brings it to this release: what an admin has changed on it stays, switched off stays off,
 * and the verdict on its era stays with the version it was found for.
 * @returns undefined when an admin has a type of their own under this name
 */
export async function upsertShippedType(q: Queryable, type: NewServerType): Promise<ServerType | undefined> {
  const updates = columns
    .filter((column) => column !== 'name' && column !== 'origin')
    .map((column) => {
      if (column === 'config_template') {
        return `config_template = excluded.config_template || jsonb_build_object('patched', coalesce(mcp_types.config_template -> 'patched', '[]'))`;
      }
      if (column === 'era') {
        return `era = CASE WHEN excluded.era = 'unknown' AND mcp_types.package_version = excluded.package_version THEN mcp_types.era ELSE excluded.era END`;
      }
      if (!(patchable as readonly string[]).includes(column)) return `${column} = excluded.${column}`;
      return `${column} = CASE WHEN mcp_types.config_template -> 'patched' ? '${column}' THEN mcp_types.${column} ELSE excluded.${column} END`;
    });
  const rows = await q.query(
    `${insertInto} ON CONFLICT (name) DO UPDATE SET ${updates.join(', ')}, updated_at = clock_timestamp()
     WHERE mcp_types.origin = 'shipped' RETURNING *`,
    parametersOf(type),
  );
  return rows[0] === undefined ? undefined : rowSchema.parse(rows[0]);
}

export async function readTypeByName(q: Queryable, name: string): Promise<ServerType | undefined> {
  const rows = await q.query('SELECT * FROM mcp_types WHERE name = $1', [name]);
  return rows[0] === undefined ? undefined : rowSchema.parse(rows[0]);
}

export async function readType(q: Queryable, id: string): Promise<ServerType | undefined> {
  const rows = await q.query('SELECT * FROM mcp_types WHERE id = $1', [id]);
  return rows[0] === undefined ? undefined : rowSchema.parse(rows[0]);
}

/** Locks the row until the transaction ends. */
export async function lockTypeByName(q: Queryable, name: string): Promise<ServerType | undefined> {
  const rows = await q.query('SELECT * FROM mcp_types WHERE name = $1 FOR UPDATE', [name]);
  return rows[0] === undefined ? undefined : rowSchema.parse(rows[0]);
}

export async function listTypes(q: Queryable): Promise<ServerType[]> {
  const rows = await q.query('SELECT * FROM mcp_types ORDER BY name');
  return rows.map((row) => rowSchema.parse(row));
}

/** Changes what the patch names, and remembers that an admin did. */
export async function updateType(q: Queryable, id: string, patch: TypePatch): Promise<ServerType> {
  const given = patchable.filter((column) => patch[column] !== undefined);
  const sets = given.map((column, at) => `${column} = $${at + 3}`);
  const rows = await q.query(
    `UPDATE mcp_types SET ${[...sets, 'updated_at = clock_timestamp()'].join(', ')},
       config_template = config_template || jsonb_build_object('patched',
         (SELECT coalesce(jsonb_agg(DISTINCT word), '[]') FROM (
            SELECT jsonb_array_elements_text(coalesce(config_template -> 'patched', '[]')) AS word
            UNION SELECT unnest($2::text[])) AS words))
     WHERE id = $1 RETURNING *`,
    [id, given, ...given.map((column) => patch[column])],
  );
  return rowSchema.parse(rows[0]);
}

/** Stores the verdict on the era of a type, if it still is at the version the verdict is about. */
export async function setTypeEra(
  q: Queryable,
  id: string,
  version: string,
  era: ServerType['era'],
): Promise<boolean> {
  const rows = await q.query(
    'UPDATE mcp_types SET era = $3, updated_at = clock_timestamp() WHERE id = $1 AND package_version = $2 RETURNING 1',
    [id, version, era],
  );
  return rows.length === 1;
}

/** Stores the file that a package's own description names as its program. */
export async function setTypeScript(
  q: Queryable,
  id: string,
  version: string,
  script: string,
): Promise<void> {
  await q.query(
    `UPDATE mcp_types SET server_script = $3 WHERE id = $1 AND package_version = $2 AND server_script = ''`,
    [id, version, script],
  );
}
