// Types from outside: an npm package, or a server.json from anywhere, made into the document that a type is made of. What
// a stranger wrote never decides how far a server reaches: our part of their _meta is dropped, the admin's wishes count.
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import npa from 'npm-package-arg';
import semver from 'semver';
import { fieldFault } from '../base/errors.ts';
import type { NewServerType } from '../db/queries/types.ts';
import type { PackageFacts } from './npm.ts';
import type { PackageStore } from './package-store.ts';
import { typeFromServerJson } from './server-json.ts';
import { typeMetaKey } from './type-meta.ts';

/** What an admin asks for. */
export interface TypeWish {
  /** `npm:PACKAGE[@VERSION]`; with a document: where that was read. */
  readonly source?: string | undefined;
  /** A server.json, or an answer of an MCP registry with one in it. */
  readonly document?: unknown;
  readonly name?: string | undefined;
  readonly egress?: 'none' | 'allow-list' | 'open' | undefined;
  readonly egress_hosts?: readonly string[] | undefined;
  /** The variable a user's key goes into, where the document does not say. */
  readonly key_variable?: string | undefined;
  /** Fixed arguments, after those of the document. */
  readonly arguments?: readonly string[] | undefined;
}

type Json = Record<string, unknown>;

const documentBytesMax = 256 * 1_024;
const namePattern = /^(?:@[a-z0-9~][\w.~-]*\/)?[a-z0-9~][\w.~-]*$/i;

/**
 * Reads what was asked for, and installs it on the way: what cannot be had, or cannot be served, is refused here.
 * @throws Fault invalid_field, type_unavailable, package_tampered
 */
export async function typeFromOutside(store: PackageStore, wish: TypeWish): Promise<NewServerType> {
  if (wish.document !== undefined && wish.source?.startsWith('npm:'))
    throw fieldFault('invalid_field', '/source', 'the file or the address the document was read from');
  const { document, facts } =
    wish.document === undefined
      ? await readPackageSource(store, wish.source ?? '')
      : readDocument(wish.document, isForeign(wish.source));
  const type = typeFromServerJson(withWishes(document, wish), 'admin');
  const { integrity, license } = facts ?? (await store.facts(type.package_name, type.package_version));
  const { program } = await store.resolve(type);
  return {
    ...type,
    ...{ integrity, license, server_script: program },
    source:
      wish.document === undefined
        ? `npm:${type.package_name}@${type.package_version}`
        : (wish.source ?? null),
  };
}

interface Read {
  readonly document: Json;
  readonly facts?: PackageFacts;
}

/** The name and the version or tag in `npm:PACKAGE[@VERSION]`. @throws Fault invalid_field for anything else npm takes */
function parseNpmSource(source: string): { name: string; version: string } {
  const spec = /^npm:(\S+)$/.exec(source)?.[1] ?? '';
  try {
    const { type, name, fetchSpec, rawSpec, registry } = npa(spec);
    const version = rawSpec === '*' || rawSpec === '' ? 'latest' : fetchSpec;
    const isExact = type === 'tag' || (type === 'version' && semver.valid(version) !== null);
    const isPlain = registry === true && namePattern.test(name ?? '');
    if (isPlain && name !== null && typeof version === 'string' && (isExact || version === 'latest')) {
      return { name, version };
    }
  } catch {
    // Not a package at all: refused like the rest.
  }
  throw fieldFault(
    'invalid_field',
    '/source',
    'a package of the npm registry, "npm:PACKAGE" or "npm:PACKAGE@VERSION" with an exact version or a tag: no path, no ' +
      'address, no repository, no alias, no range',
  );
}

async function readPackageSource(store: PackageStore, source: string): Promise<Read> {
  const wanted = parseNpmSource(source);
  const facts = await store.facts(wanted.name, wanted.version);
  const { dir } = await store.resolve({
    ...{ name: wanted.name, server_script: '' },
    ...{ package_name: facts.name, package_version: facts.version },
  });
  const shipped = await readJson(join(dir, 'node_modules', facts.name, 'server.json'));
  const described = shipped === undefined ? undefined : ownEntry(shipped, facts);
  return { document: described ?? documentFor(facts), facts };
}

function readDocument(given: unknown, isForeignDocument: boolean): Read {
  if (typeof given !== 'object' || given === null)
    throw fieldFault('invalid_field', '/document', 'a server.json');
  const { server } = given as Json;
  const document = (typeof server === 'object' && server !== null ? server : given) as Json;
  const packages = Array.isArray(document.packages) ? document.packages : [];
  const fromNpm = packages.filter((one: Json | null) => one?.registryType === 'npm');
  const narrowed = fromNpm.length === 1 ? { ...document, packages: fromNpm } : document;
  return { document: isForeignDocument ? withoutOurs(narrowed) : narrowed };
}

function isForeign(source: string | undefined): boolean {
  return /^https?:/i.test(source ?? '');
}

/** The server.json a package brings, as far as it speaks of that package, at the version that is installed. */
function ownEntry(document: Json, facts: PackageFacts): Json | undefined {
  const entries = Array.isArray(document.packages) ? (document.packages as (Json | null)[]) : [];
  const own = entries.find((one) => one?.registryType === 'npm' && one.identifier === facts.name);
  if (own === undefined) return undefined;
  return withoutOurs({ ...document, packages: [{ ...own, version: facts.version }] });
}

/** The least there is to say of a package that brings no server.json. */
function documentFor({ name, version, description, mcpName }: PackageFacts): Json {
  const [, scope, bare] = /^(?:@([^/]+)\/)?(.+)$/.exec(name) ?? [];
  const clean = (text: string): string => text.replaceAll(/[^a-zA-Z0-9.-]/g, '-');
  const isName = mcpName !== null && /^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/.test(mcpName);
  return {
    name: isName
      ? mcpName
      : `com.npmjs${scope === undefined ? '' : `.${clean(scope)}`}/${clean(bare ?? name)}`,
    ...(description === null ? {} : { description: description.slice(0, 2_000) }),
    version,
    packages: [{ registryType: 'npm', identifier: name, version, transport: { type: 'stdio' } }],
  };
}

function withoutOurs(document: Json): Json {
  const { [typeMetaKey]: _ours, ...meta } = (document._meta ?? {}) as Json;
  return { ...document, _meta: meta };
}

/** The document with what the admin said put over it. */
function withWishes(document: Json, wish: TypeWish): Json {
  const meta = (document._meta ?? {}) as Json;
  const said = {
    ...(wish.name === undefined ? {} : { name: wish.name }),
    ...(wish.egress === undefined ? {} : { egress: wish.egress }),
    ...(wish.egress_hosts === undefined ? {} : { egress_hosts: wish.egress_hosts }),
    ...(wish.key_variable === undefined ? {} : { key_variable: wish.key_variable }),
  };
  const packages = Array.isArray(document.packages)
    ? document.packages.map((pkg: Json) =>
        withKey(withArguments(pkg, wish.arguments ?? []), wish.key_variable),
      )
    : document.packages;
  const ours = { ...((meta[typeMetaKey] as Json | undefined) ?? {}), ...said };
  return {
    ...document,
    packages,
    ...(Object.keys(ours).length === 0 ? {} : { _meta: { ...meta, [typeMetaKey]: ours } }),
  };
}

function withArguments(pkg: Json, more: readonly string[]): Json {
  if (more.length === 0) return pkg;
  const given = Array.isArray(pkg.packageArguments) ? pkg.packageArguments : [];
  return { ...pkg, packageArguments: [...given, ...more.map((value) => ({ type: 'positional', value }))] };
}

function withKey(pkg: Json, name: string | undefined): Json {
  if (name === undefined) return pkg;
  const given = (Array.isArray(pkg.environmentVariables) ? pkg.environmentVariables : []) as Json[];
  const { value: _value, ...known } = given.find((one) => one?.name === name) ?? {};
  const key = { ...known, name, isRequired: true, isSecret: true };
  return { ...pkg, environmentVariables: [...given.filter((one) => one?.name !== name), key] };
}

/** A JSON object of a believable size; undefined when it is not there, or is nonsense. */
async function readJson(path: string): Promise<Json | undefined> {
  try {
    await using file = await open(path);
    if ((await file.stat()).size > documentBytesMax) return undefined;
    const json: unknown = JSON.parse(await file.readFile('utf8'));
    return typeof json === 'object' && json !== null ? (json as Json) : undefined;
  } catch {
    return undefined;
  }
}
