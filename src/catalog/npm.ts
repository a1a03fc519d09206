// npm, as far as we let it: asked about a package, and made to install one, without scripts, without git, as a user that
// is not root, in a directory that goes again. Every package of the tree must be vouched for by an integrity that npm has
// checked: a tree with anything else in it is refused.
import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { PackageLock } from '../db/queries/packages.ts';
import { runHelper } from '../runtime/launcher.ts';
import { openStore } from '../runtime/store.ts';
import { uidRangeHere } from '../runtime/uids.ts';

export interface NpmOptions {
  readonly dataDir: string;
  /** The Node that runs npm. */
  readonly nodeBinary: string;
  readonly log: Logger;
  /** Further environment for npm, for example npm_config_registry. */
  readonly npmEnv?: Readonly<Record<string, string>> | undefined;
  readonly npmTimeoutMs?: number | undefined;
}

const npmMsMax = 120_000;
const lockBytesMax = 8 * 1024 * 1024;
const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--omit=dev'];

const viewSchema = z.object({
  name: z.string().max(214),
  version: z.string().max(100),
  license: z.string().max(200).optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  mcpName: z.string().max(200).optional().catch(undefined),
  'dist.integrity': z.string().max(200),
});

/** What a registry says of one version of a package. */
export interface PackageFacts {
  readonly name: string;
  readonly version: string;
  readonly license: string | null;
  readonly description: string | null;
  /** The name of the server in the MCP registry. */
  readonly mcpName: string | null;
  readonly integrity: string | null;
}

/** Asks the registry. @throws Fault type_unavailable */
export async function viewPackage(options: NpmOptions, name: string, wanted: string): Promise<PackageFacts> {
  const spec = `${name}@${wanted}`;
  const fields = ['name', 'version', 'license', 'description', 'mcpName', 'dist.integrity'];
  const result = await inWorkDir(options, (work) =>
    runNpm(options, work, ['view', spec, '--json', ...fields]),
  );
  const parsed = result.ok ? viewSchema.safeParse(parse(result.stdout)) : undefined;
  if (parsed?.success !== true || parsed.data.name !== name) {
    const why = result.ok
      ? 'the registry says nothing of it, or nothing that can be checked'
      : result.problem;
    throw new Fault('type_unavailable', `package ${spec} is not to be had: ${why}`);
  }
  const { version, license, description, mcpName, 'dist.integrity': integrity } = parsed.data;
  return {
    ...{ name, version, integrity },
    license: license ?? null,
    description: description ?? null,
    mcpName: mcpName ?? null,
  };
}

/** Does something in a directory of the store that belongs to npm's user, and is gone afterwards. */
export async function inWorkDir<T>(options: NpmOptions, task: (work: string) => Promise<T>): Promise<T> {
  const work = await mkdtemp(join(await openStore(options.dataDir), `npm-${process.pid}-`));
  try {
    const uid = userOf(options);
    if (uid !== undefined) await chown(work, uid, uid);
    return await task(work);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Installs a package with all it needs into `work`/node_modules: what the lock says, or else what is newest now.
 * @returns the lock, by which the same can be installed again
 * @throws Fault package_tampered; Error with what npm said
 */
export async function installPackage(
  options: NpmOptions,
  work: string,
  { name, version, lock }: { name: string; version: string; lock?: PackageLock | undefined },
): Promise<PackageLock> {
  const spec = `${name}@${version}`;
  options.log.info({ package: spec, locked: lock !== undefined }, 'fetching a package');
  const manifest = { private: true, ...(lock === undefined ? {} : { dependencies: { [name]: version } }) };
  await give(options, join(work, 'package.json'), manifest);
  if (lock !== undefined) await give(options, join(work, 'package-lock.json'), lock);
  const fresh = ['install', spec, '--save-exact', '--package-lock', '--omit-lockfile-registry-resolved'];
  const result = await runNpm(options, work, [...(lock === undefined ? fresh : ['ci']), ...quiet]);
  if (!result.ok && /EINTEGRITY/.test(result.problem)) {
    throw new Fault(
      'package_tampered',
      `what the registry sent for ${spec} is not what it vouched for: ${result.problem}`,
    );
  }
  if (!result.ok) throw new Error(`npm could not fetch it: ${result.problem}`);
  return lock ?? readLock(work, spec);
}

/** The integrity a lock has for a package itself. */
export function integrityIn(lock: PackageLock, name: string): string | null {
  const { integrity } = (lock.packages as Record<string, LockEntry>)[`node_modules/${name}`] ?? {};
  return integrity ?? null;
}

interface LockEntry {
  readonly integrity?: string;
  /** Kept by npm only for what comes from elsewhere than the registry. */
  readonly resolved?: string;
  readonly inBundle?: boolean;
}

async function readLock(work: string, spec: string): Promise<PackageLock> {
  const file = join(work, 'package-lock.json');
  if ((await stat(file)).size > lockBytesMax) throw new Error('its tree of dependencies is too large');
  const { name: _directory, ...lock } = JSON.parse(await readFile(file, 'utf8')) as PackageLock;
  const entries = Object.entries(lock.packages as Record<string, LockEntry>);
  const unproved = entries.filter(
    ([path, { integrity, resolved, inBundle }]) => path !== '' && !inBundle && (!integrity || resolved),
  );
  if (unproved.length === 0) return lock;
  const list = unproved.map(([path]) => path.replace(/^.*node_modules\//, '')).join(', ');
  throw new Fault('package_tampered', `${spec} needs what no registry vouches for: ${list}`);
}

function runNpm(options: NpmOptions, work: string, args: readonly string[]) {
  return runHelper(['npm', ...args], {
    cwd: work,
    timeoutMs: options.npmTimeoutMs ?? npmMsMax,
    uid: userOf(options),
    env: {
      HOME: work,
      PATH: `${dirname(options.nodeBinary)}:/usr/local/bin:/usr/bin:/bin`,
      npm_config_cache: join(work, '.cache'),
      npm_config_update_notifier: 'false',
      npm_config_logs_max: '0',
      // Somebody waits: npm's own patience is more than a minute.
      npm_config_fetch_retries: '1',
      npm_config_fetch_retry_mintimeout: '1000',
      // A dependency from a repository would be built by what lies in it; an address could be anybody's.
      npm_config_allow_git: 'none',
      npm_config_allow_remote: 'none',
      npm_config_git: '/bin/false',
      ...options.npmEnv,
    },
  });
}

/** A package manager faces a network: as root it gets a user of its own. */
function userOf({ dataDir }: NpmOptions): number | undefined {
  return uidRangeHere(dataDir)?.base;
}

async function give(options: NpmOptions, path: string, document: unknown): Promise<void> {
  await writeFile(path, JSON.stringify(document), { mode: 0o644 });
  const uid = userOf(options);
  if (uid !== undefined) await chown(path, uid, uid);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
