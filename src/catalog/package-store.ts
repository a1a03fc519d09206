// The packages of server types, each with all it depends on, put once per version into <data>/store/packages: read-only,
// ours, reachable by instances. They come from the program's own node_modules, or else from npm, without scripts, as a
// user that is not root. What cannot be had is the Fault type_unavailable, with what to do.
import { mkdirSync, readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { monotonicMs } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { PackageKey, PackageLock } from '../db/queries/packages.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { PackageResolver, ResolvedPackage } from '../runtime/local-state.ts';
import { copyAsOurs, openStore, placeFile, publish, storeDir } from '../runtime/store.ts';
import { type Closure, closureOf, findPackageDir, readPackage } from './closure.ts';
import type { Ledger } from './ledger.ts';
import { installPackage, integrityIn, inWorkDir, type PackageFacts, viewPackage } from './npm.ts';

export interface StoredPackage extends ResolvedPackage {
  /** The script inside the package. */
  readonly program: string;
}

/** What a package is asked for by. */
export type Wanted = Pick<ServerType, 'name' | 'package_name' | 'package_version' | 'server_script'>;

export interface PackageStore extends PackageResolver {
  resolve(type: Wanted): Promise<StoredPackage>;
  /** What is known about a version of a package, a tag like "latest" included. @throws Fault type_unavailable */
  facts(name: string, version: string): Promise<PackageFacts>;
  /** Whether `resolve` would succeed at once. Looks, and fetches nothing. */
  has(type: ServerType): Promise<boolean>;
}

export interface PackageStoreOptions {
  readonly dataDir: string;
  /** Where resolution begins; default: the directory of this program. */
  readonly root?: string;
  /** The Node that runs npm; default: the one that runs us. */
  readonly nodeBinary?: string;
  readonly log: Logger;
  /** Further environment for npm, for example npm_config_registry. */
  readonly npmEnv?: Readonly<Record<string, string>>;
  readonly npmTimeoutMs?: number;
  /** Remembers what was installed; without it nothing is compared. */
  readonly ledger?: Ledger;
}

/** A package that could not be fetched is not tried again for this long. */
const retryMs = 60_000;

type Options = Required<Pick<PackageStoreOptions, 'root' | 'nodeBinary'>> & PackageStoreOptions;

export function createPackageStore(given: PackageStoreOptions): PackageStore {
  const options = { root: join(import.meta.dirname, '..', '..'), nodeBinary: process.execPath, ...given };
  const known = new Map<string, Promise<string>>();
  const failed = new Map<string, { atMs: number; error: unknown }>();

  const dirOf = (type: Wanted): Promise<string> => {
    const key = `${type.package_name}@${type.package_version}`;
    const earlier = failed.get(key);
    if (earlier !== undefined && monotonicMs() - earlier.atMs < retryMs) return Promise.reject(earlier.error);
    let dir = known.get(key);
    if (dir === undefined) {
      dir = place(options, type).catch((error: unknown) => {
        known.delete(key);
        // Only what a registry says is believed for a while; a database that was away is back at any moment.
        if (error instanceof Fault && error.code === 'type_unavailable')
          failed.set(key, { atMs: monotonicMs(), error });
        throw error;
      });
      known.set(key, dir);
    }
    return dir;
  };

  return {
    async resolve(type) {
      const dir = await dirOf(type);
      const inside = join('node_modules', type.package_name);
      const program = type.server_script || readPackage(join(dir, inside))?.bin;
      if (program === undefined) {
        throw unavailable(type, 'it names no program to start; give the type a "script" under _meta');
      }
      if (!(await isFile(join(dir, inside, program)))) throw unavailable(type, `it has no file ${program}`);
      return { dir, script: join(inside, program), program };
    },
    async facts(name, version) {
      const own = findInProgram(options.root, { package_name: name, package_version: version });
      if (own !== undefined) return ownFacts(options.root, own, name);
      const facts = await viewPackage(options, name, version);
      await refuseReplaced(options, facts);
      return facts;
    },
    async has(type) {
      if (findInProgram(options.root, type) !== undefined) return true;
      return isFile(
        join(fetchedDir(options.dataDir, type), 'node_modules', type.package_name, 'package.json'),
      );
    },
  };
}

/** Puts a package into the store, unless it is there. @returns the directory that holds its node_modules */
async function place(options: Options, type: Wanted): Promise<string> {
  await openStore(options.dataDir);
  const packages = join(storeDir(options.dataDir), 'packages');
  await mkdir(packages, { recursive: true, mode: 0o755 });
  const own = findInProgram(options.root, type);
  if (own === undefined) return fetchWithNpm(options, type);
  const closure = await closureOf(own);
  const target = join(packages, `${fileName(type)}-${closure.hash}`);
  await publish(target, (draft) => copyClosure(closure, own, type.package_name, draft));
  return target;
}

/** The package among the program's own dependencies, at the version asked for. */
function findInProgram(
  root: string,
  type: Pick<Wanted, 'package_name' | 'package_version'>,
): string | undefined {
  const dir = findPackageDir(root, type.package_name);
  const info = dir === undefined ? undefined : readPackage(dir);
  return info?.version === type.package_version ? dir : undefined;
}

/** A version never changes: a registry that vouches for something else now is not believed. */
async function refuseReplaced(
  { ledger }: Options,
  { name, version, integrity }: PackageFacts,
): Promise<void> {
  const lock = await ledger?.lockOf({ name, version });
  const kept = lock === undefined ? null : integrityIn(lock, name);
  if (kept === null || kept === integrity) return;
  throw new Fault(
    'package_tampered',
    `the registry vouches for another ${name}@${version} (${integrity}) than was installed before (${kept})`,
  );
}

/** What our own installation knows of a package in it. */
async function ownFacts(root: string, dir: string, name: string): Promise<PackageFacts> {
  const json = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8')) as Record<string, unknown>;
  const lock = await readFile(join(root, 'package-lock.json'), 'utf8').catch(() => '{"packages":{}}');
  const textOr = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return {
    name,
    version: String(json.version),
    license: textOr(json.license)?.slice(0, 200) ?? null,
    description: textOr(json.description),
    mcpName: textOr(json.mcpName),
    integrity: integrityIn(JSON.parse(lock) as PackageLock, name),
  };
}

async function copyClosure(closure: Closure, own: string, name: string, draft: string): Promise<void> {
  for (const { path } of closure.packages) {
    copyPackage(join(closure.base, path), join(draft, path));
    await setImmediate();
  }
  for (const { path, to } of closure.links) await linkTo(join(draft, path), join(draft, to));
  // Where the package lies deeper (a link, or a hoisting of its own), it is still found in the usual place.
  const usual = join(draft, 'node_modules', name);
  if (!(await isFile(join(usual, 'package.json'))))
    await linkTo(usual, join(draft, relative(closure.base, own)));
}

async function linkTo(path: string, target: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await symlink(relative(dirname(path), target), path);
}

/**
 * Copies one package without the packages nested in it, and without what is only read by compilers and debuggers. In one
 * go: thousands of small links take a tenth of the time that way, and a package is small.
 */
function copyPackage(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o755 });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.name === 'node_modules') continue;
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) copyPackage(source, target);
    else if (entry.isFile() && !/\.(d\.[cm]?ts|map)$/.test(entry.name)) placeFile(source, target, 0o644);
  }
}

function fetchedDir(dataDir: string, type: Wanted): string {
  return join(storeDir(dataDir), 'packages', `${fileName(type)}-npm`);
}

async function fetchWithNpm(options: Options, type: Wanted): Promise<string> {
  const target = fetchedDir(options.dataDir, type);
  const key = { name: type.package_name, version: type.package_version };
  await publish(target, (draft) =>
    inWorkDir(options, async (work) => {
      await install(options, key, work).catch((error: unknown) => {
        throw error instanceof Fault ? error : unavailable(type, messageOf(error));
      });
      const info = readPackage(join(work, 'node_modules', type.package_name));
      if (info?.version !== type.package_version)
        throw unavailable(type, 'npm fetched something else under its name');
      await adopt(join(work, 'node_modules'), join(draft, 'node_modules'));
    }),
  );
  await options.ledger?.verify(key, target);
  return target;
}

/** The same tree for everybody: the first installation decides which, each further one repeats it. */
async function install(options: Options, key: PackageKey, work: string): Promise<void> {
  const { ledger } = options;
  const known = await ledger?.lockOf(key);
  const lock = await installPackage(options, work, { ...key, lock: known });
  const other = known === undefined ? await ledger?.keepLock(key, lock) : undefined;
  if (other !== undefined) await installPackage(options, work, { ...key, lock: other });
}

/** Copies what another user made, so that it becomes ours; links may only lead within. */
async function adopt(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (['.bin', '.cache', '.package-lock.json'].includes(entry.name)) continue;
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) await adopt(source, target);
    else if (entry.isFile()) {
      copyAsOurs(source, target, 0o644);
    }
  }
}

function fileName(type: Wanted): string {
  return `${type.package_name.replace('/', '+')}@${type.package_version}`;
}

function unavailable(type: Wanted, why: string): Fault {
  const spec = `${type.package_name}@${type.package_version}`;
  return new Fault(
    'type_unavailable',
    `package ${spec} of type "${type.name}" is not to be had: ${why}. Install it beside MiniMCP ("npm install ${spec}"), ` +
      'let this machine reach the npm registry, or remove the type',
  );
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
