// Our types as an MCP registry lists them: a server.json each, written from the row, so that it says what is started here
// and nothing else. Pure. How a server is kept and limited here is nobody's business elsewhere and stays behind.
import semver from 'semver';
import type { ServerType, TypeInput } from '../domain/server-type.ts';

export interface RegistryEntry {
  readonly server: RegistryServer;
  readonly publishedAt: Date;
  readonly updatedAt: Date;
  readonly isLatest: boolean;
}

export type RegistryServer = {
  readonly $schema: string;
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly version: string;
} & Record<string, unknown>;

const schema = 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json';
const descriptionMax = 100;

/** Entries of the types that are switched on, by name, the newest version of a server first. */
export function registryEntries(types: readonly ServerType[]): RegistryEntry[] {
  const byServer = new Map<string, Map<string, ServerType>>();
  // What a format made for programs on the reader's machine cannot express: a server that is told its port.
  for (const type of types.filter((one) => one.is_active && one.transport === 'stdio')) {
    const name = registryNameOf(type);
    const versions = byServer.get(name) ?? new Map<string, ServerType>();
    byServer.set(name, versions);
    // Two types of the same version differ only in how they are kept here.
    if (!versions.has(type.package_version)) versions.set(type.package_version, type);
  }
  return [...byServer]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, versions]) =>
      [...versions.values()]
        .sort((a, b) => semver.rcompare(a.package_version, b.package_version))
        .map((type, at) => ({
          server: serverOf(type, name),
          publishedAt: type.created_at,
          updatedAt: type.updated_at,
          isLatest: at === 0,
        })),
    );
}

function registryNameOf(type: ServerType): string {
  return type.registry_name ?? `dev.minimcp/${type.name}`;
}

function serverOf(type: ServerType, name: string): RegistryServer {
  const icon = type.icon_url;
  return {
    $schema: schema,
    name,
    title: type.display_name,
    description: cut(type.description?.replaceAll(/\s+/g, ' ').trim() || type.display_name),
    version: type.package_version,
    ...(icon?.startsWith('https:') && icon.length <= 255 ? { icons: [{ src: icon }] } : {}),
    packages: [packageOf(type)],
  };
}

function packageOf(type: ServerType): Record<string, unknown> {
  const slots = slotsOf(type);
  const variables = type.inputs.filter(({ name }) => !slots.some((slot) => slot.name === name));
  const argumentsOf = [
    ...type.arguments.map((value) => ({ type: 'positional', ...fixed(value) })),
    ...slots.map(({ name, flag }) => {
      const input = inputFields(type.inputs.find((one) => one.name === name));
      return flag === undefined
        ? { type: 'positional', valueHint: name, ...input }
        : { type: 'named', name: flag, ...input };
    }),
  ];
  const environment = [
    ...Object.entries(type.environment).map(([name, value]) => ({ name, ...fixed(value) })),
    ...variables.map((input) => ({ name: input.name, ...inputFields(input) })),
  ];
  return {
    registryType: 'npm',
    identifier: type.package_name,
    version: type.package_version,
    runtimeHint: 'npx',
    transport: { type: 'stdio' },
    ...(argumentsOf.length === 0 ? {} : { packageArguments: argumentsOf }),
    ...(environment.length === 0 ? {} : { environmentVariables: environment }),
  };
}

/** A value that is set. Where it names the home it has here, the reader is asked for a directory of theirs. */
function fixed(value: string): Record<string, unknown> {
  if (!value.includes(homeMark)) return { value };
  const home = { description: 'A directory of yours', format: 'filepath', isRequired: true };
  return { value: value.replaceAll(homeMark, '{home}'), variables: { home } };
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
const homeMark = '${HOME}';

function inputFields(input: TypeInput | undefined): Record<string, unknown> {
  if (input === undefined) return {};
  return {
    ...(input.description === undefined ? {} : { description: input.description }),
    isRequired: input.is_required,
    isSecret: input.is_secret,
    ...(input.default === undefined ? {} : { default: input.default }),
    ...(input.choices === undefined ? {} : { choices: [...input.choices] }),
  };
}

function slotsOf(type: ServerType): readonly { name: string; flag?: string }[] {
  const slots = type.config_template.arguments;
  return Array.isArray(slots) ? (slots as { name: string; flag?: string }[]) : [];
}

/** The format allows a hundred characters. */
function cut(text: string): string {
  const letters = [...text];
  return text.length <= descriptionMax
    ? text
    : `${letters
        .slice(0, descriptionMax - 2)
        .join('')
        .trimEnd()}…`;
}
