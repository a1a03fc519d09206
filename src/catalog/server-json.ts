// The registry format (server.json, schema 2025-12-11) as far as we serve it, and its way into a row of mcp_types. What
// cannot be served as described is refused with a pointer to the field. Arguments stay a list, never a shell line.
import npa from 'npm-package-arg';
import semver from 'semver';
import { z } from 'zod';
import { Fault, type FieldError } from '../base/errors.ts';
import type { NewServerType } from '../db/queries/types.ts';
import type { TypeInput } from '../domain/server-type.ts';
import { isReservedVariable, type TypeMeta, typeMetaKey, typeMetaSchema } from './type-meta.ts';

const text = (lengthMax: number) => z.string().max(lengthMax);

const inputFields = {
  description: text(1_000).optional(),
  isRequired: z.boolean().optional(),
  isSecret: z.boolean().optional(),
  value: text(2_000).optional(),
  default: text(2_000).optional(),
  choices: z.array(text(200)).max(100).optional(),
};

const inputSchema = z.object(inputFields);

const argumentSchema = z.discriminatedUnion('type', [
  z.looseObject({ ...inputFields, type: z.literal('positional'), valueHint: text(100).optional() }),
  z.looseObject({ ...inputFields, type: z.literal('named'), name: text(100).min(1) }),
]);
type Argument = z.infer<typeof argumentSchema>;

const variableSchema = z.looseObject({
  ...inputFields,
  name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'a name of letters, digits and "_"'),
});

const packageSchema = z.looseObject({
  registryType: z.literal('npm', 'only npm packages can be started here'),
  identifier: text(214),
  version: z
    .string()
    .refine((version) => semver.valid(version) === version, 'an exact version, for example 1.2.3'),
  transport: z.looseObject({
    type: z.enum(['stdio', 'streamable-http'], 'only stdio and streamable-http servers can be started here'),
  }),
  runtimeHint: text(50).optional(),
  runtimeArguments: z.array(argumentSchema).max(50).default([]),
  packageArguments: z.array(argumentSchema).max(50).default([]),
  environmentVariables: z.array(variableSchema).max(100).default([]),
});
type Package = z.infer<typeof packageSchema>;

const documentSchema = z.looseObject({
  name: z
    .string()
    .regex(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/, 'reverse DNS and a name, for example com.example/server')
    .max(200),
  title: text(100).min(1).optional(),
  description: text(2_000).optional(),
  icons: z.array(z.looseObject({ src: z.url().max(500) })).optional(),
  packages: z.array(packageSchema).length(1, 'exactly one package: add one type per package'),
  _meta: z.looseObject({ [typeMetaKey]: typeMetaSchema.optional() }).optional(),
});

/**
 * Reads a server.json.
 * @returns the row it becomes; server_script is empty when only the installed package can tell
 * @throws Fault invalid_field with a pointer for each part that cannot be served
 */
export function typeFromServerJson(document: unknown, origin: 'shipped' | 'admin'): NewServerType {
  const parsed = documentSchema.safeParse(document);
  if (!parsed.success) throw refusal(parsed.error.issues.map(issueError));
  const { data } = parsed;
  const [pkg] = data.packages as [Package];
  const meta: TypeMeta = data._meta?.[typeMetaKey] ?? {};
  const problems = [...packageProblems(pkg), ...inputProblems(pkg, meta)];
  const egress = meta.egress ?? (pkg.transport.type === 'stdio' ? 'none' : 'open');
  if (pkg.transport.type !== 'stdio' && egress !== 'open') {
    problems.push({
      pointer: `/_meta/${escapePointer(typeMetaKey)}/egress`,
      message: 'a streamable-http server is reached over the network of the machine: its egress is "open"',
    });
  }
  if (problems.length > 0) throw refusal(problems);
  const template = readArguments(pkg);
  return {
    name: meta.name ?? nameFrom(data.name),
    display_name: meta.display_name ?? data.title ?? nameFrom(data.name),
    description: data.description ?? null,
    icon_url: meta.icon_url ?? data.icons?.[0]?.src ?? null,
    server_script: meta.script ?? '',
    config_template: { arguments: template.slots },
    required_scopes: meta.required_scopes ?? [],
    resource_limits: meta.resource_limits ?? {},
    max_duration_minutes: meta.max_duration_minutes ?? 60,
    origin,
    registry_name: data.name,
    package_name: pkg.identifier,
    package_version: pkg.version,
    transport: pkg.transport.type,
    arguments: template.fixed,
    environment: fixedEnvironment(pkg),
    inputs: [...environmentInputs(pkg, meta), ...template.inputs],
    key_variable: keyVariable(pkg, meta),
    era: meta.era ?? 'unknown',
    egress,
    egress_hosts: meta.egress_hosts ?? [],
    read_only_paths: meta.read_only_paths ?? [],
    idle_minutes: meta.idle_minutes ?? null,
    restart_policy: meta.restart_policy ?? {},
    start_timeout_seconds: meta.start_timeout_seconds ?? 30,
    legacy_sse: meta.legacy_sse ?? false,
    source: null,
    integrity: null,
    license: null,
  };
}

function packageProblems(pkg: Package): FieldError[] {
  const problems: FieldError[] = [];
  if (!isRegistryName(pkg.identifier)) {
    problems.push({ pointer: '/packages/0/identifier', message: 'the name of an npm package' });
  }
  pkg.runtimeArguments.forEach((argument, at) => {
    const word = argument.type === 'named' ? argument.name : argument.value;
    if (word === '-y' || word === '--yes') return;
    problems.push({
      pointer: `/packages/0/runtimeArguments/${at}`,
      message: 'the package is started by node itself, which takes no arguments here',
    });
  });
  return problems;
}

function isRegistryName(identifier: string): boolean {
  try {
    const parsed = npa(identifier);
    return parsed.registry === true && parsed.name === identifier && parsed.rawSpec === '*';
  } catch {
    return false;
  }
}

function inputProblems(pkg: Package, meta: TypeMeta): FieldError[] {
  const problems: FieldError[] = [];
  const secrets = pkg.environmentVariables.filter(({ isSecret, isRequired }) => isSecret && isRequired);
  if (secrets.length > 1) {
    problems.push({
      pointer: '/packages/0/environmentVariables',
      message: 'at most one required secret: a type has one key',
    });
  }
  pkg.environmentVariables.forEach(({ name, isSecret, value }, at) => {
    const pointer = `/packages/0/environmentVariables/${at}`;
    if (isReservedVariable(name))
      problems.push({ pointer: `${pointer}/name`, message: `${name} is set by MiniMCP` });
    if (isSecret && value !== undefined)
      problems.push({
        pointer: `${pointer}/value`,
        message: 'a secret has no fixed value: each user stores their own',
      });
  });
  pkg.packageArguments.forEach((argument, at) => {
    if (argument.isSecret)
      problems.push({
        pointer: `/packages/0/packageArguments/${at}`,
        message: 'a secret goes into the environment, never into an argument',
      });
  });
  if (meta.key_variable !== undefined && isReservedVariable(meta.key_variable)) {
    problems.push({
      pointer: `/_meta/${escapePointer(typeMetaKey)}/key_variable`,
      message: `${meta.key_variable} is set by MiniMCP`,
    });
  }
  return problems;
}

function fixedEnvironment(pkg: Package): Record<string, string> {
  return Object.fromEntries(
    pkg.environmentVariables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
  );
}

function keyVariable(pkg: Package, meta: TypeMeta): string | null {
  const required = pkg.environmentVariables.find(({ isSecret, isRequired }) => isSecret && isRequired);
  return meta.key_variable ?? required?.name ?? null;
}

/** What an owner may set in the environment. Secrets are not among it: they are kept as keys. */
function environmentInputs(pkg: Package, meta: TypeMeta): TypeInput[] {
  const key = keyVariable(pkg, meta);
  return pkg.environmentVariables
    .filter(({ name, value, isSecret }) => value === undefined && (!isSecret || name === key))
    .map((variable) => inputOf(variable.name, variable));
}

interface Arguments {
  readonly fixed: string[];
  readonly slots: { name: string; flag?: string }[];
  readonly inputs: TypeInput[];
}

function readArguments(pkg: Package): Arguments {
  const found: Arguments = { fixed: [], slots: [], inputs: [] };
  pkg.packageArguments.forEach((argument, at) => {
    if (argument.value !== undefined) {
      if (argument.type === 'named') found.fixed.push(argument.name);
      found.fixed.push(argument.value);
      return;
    }
    const name = argumentName(argument, at);
    found.slots.push(argument.type === 'named' ? { name, flag: argument.name } : { name });
    found.inputs.push(inputOf(name, argument));
  });
  return found;
}

function argumentName(argument: Argument, at: number): string {
  if (argument.type === 'named') return argument.name.replace(/^-+/, '');
  return argument.valueHint ?? `argument-${at + 1}`;
}

function inputOf(name: string, from: z.infer<typeof inputSchema>): TypeInput {
  return {
    name,
    ...(from.description === undefined ? {} : { description: from.description }),
    is_required: from.isRequired ?? false,
    is_secret: from.isSecret ?? false,
    ...(from.default === undefined ? {} : { default: from.default }),
    ...(from.choices === undefined ? {} : { choices: from.choices }),
  };
}

function nameFrom(registryName: string): string {
  const last = registryName.split('/').at(-1) ?? registryName;
  return (
    last
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50) || 'server'
  );
}

function issueError(issue: z.core.$ZodIssue): FieldError {
  const pointer = issue.path.map((part) => `/${escapePointer(String(part))}`).join('');
  return { pointer: pointer === '' ? '/' : pointer, message: issue.message };
}

function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

function refusal(errors: readonly FieldError[]): Fault {
  const list = errors.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ');
  return new Fault('invalid_field', `this server.json cannot be served: ${list}`, { errors });
}
