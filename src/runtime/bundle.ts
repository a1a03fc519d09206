// The directories of an instance: <data>/instances/<id>/{home,tmp} belong to its user, <id>/<generation>/ is the bundle.
// They are made anew for each start, and removed when nothing of the instance is alive; what is a link is never followed.
import { chmod, chown, lchown, lstat, mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFiles } from '../shim/contract.ts';
import {
  type BundleName,
  bundleDir,
  generationPattern,
  homeDir,
  instanceDir,
  tmpDir,
  uuidPattern,
} from './bundle-names.ts';
import { removeGroup } from './cgroups.ts';
import { readRecord } from './state-files.ts';

export interface BundleOwner {
  readonly uid: number;
  readonly gid: number;
  /** Whether that is another user than ours. */
  readonly foreign: boolean;
}

/**
 * Makes the directories of a generation, the bundle itself empty. The home may come from a generation that had another
 * user: it is handed over. Nothing of the instance may be alive.
 */
export async function prepareBundle(dataDir: string, name: BundleName, owner: BundleOwner): Promise<string> {
  const bundle = bundleDir(dataDir, name);
  const passage = owner.foreign ? 0o711 : 0o700;
  await ensureDir(join(dataDir, 'instances'), passage);
  await ensureDir(instanceDir(dataDir, name.instanceId), passage);
  const home = homeDir(dataDir, name.instanceId);
  const tmp = tmpDir(dataDir, name.instanceId);
  await rm(tmp, { recursive: true, force: true });
  await rm(bundle, { recursive: true, force: true });
  for (const dir of [home, tmp]) {
    await mkdir(dir, { mode: 0o700 }).catch(ignore('EEXIST'));
    if (owner.foreign) await handOver(dir, owner);
  }
  // Sticky and ours: the instance adds files, and cannot replace those we put there.
  await mkdir(bundle, { mode: 0o700 });
  if (owner.foreign) {
    await chown(bundle, 0, owner.gid);
    await chmod(bundle, 0o1770);
  }
  return bundle;
}

/** Makes the directory of the proxy's socket, before there is a proxy. */
export async function makeEgressDir(dir: string, owner: BundleOwner): Promise<void> {
  await mkdir(dir, { mode: 0o700 });
  if (owner.foreign) await chown(dir, owner.uid, owner.gid);
}

/** Every bundle on disk, whatever is in it. */
export async function listBundles(dataDir: string): Promise<BundleName[]> {
  const instances = await namesIn(join(dataDir, 'instances'), uuidPattern);
  const found = await Promise.all(
    instances.map(async (instanceId) =>
      (await namesIn(join(dataDir, 'instances', instanceId), generationPattern)).map((name) => ({
        instanceId,
        generation: Number(name),
      })),
    ),
  );
  return found.flat();
}

/** Deletes one bundle. Only after its lines are stored and its processes are gone. Absent is success. */
export async function removeGeneration(dataDir: string, name: BundleName): Promise<void> {
  await removeGroup((await readRecord(dataDir, name))?.cgroups ?? []);
  await rm(bundleDir(dataDir, name), { recursive: true, force: true, maxRetries: 3 });
  await removeIfEmpty(instanceDir(dataDir, name.instanceId));
}

/** Deletes the home of an instance and what else is not a bundle; the rest goes with its last bundle. */
export async function removeHome(dataDir: string, instanceId: string): Promise<void> {
  const dir = instanceDir(dataDir, instanceId);
  await rm(join(dir, 'home'), { recursive: true, force: true, maxRetries: 3 });
  await rm(join(dir, 'tmp'), { recursive: true, force: true, maxRetries: 3 });
  for (const name of await namesIn(dir, generationPattern)) {
    const spool = await readdir(join(dir, name, bundleFiles.spool)).catch(() => []);
    if (spool.length === 0) await rm(join(dir, name), { recursive: true, force: true, maxRetries: 3 });
  }
  await removeIfEmpty(dir);
}

async function ensureDir(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true, mode });
  const found = await lstat(path);
  if (!found.isDirectory() || found.uid !== (process.getuid?.() ?? -1)) {
    throw new Error(`${path} must be a directory of ours`);
  }
  if ((found.mode & 0o777) !== mode) await chmod(path, mode);
}

/**
 * Gives a directory and all in it to a user, itself last, so that a kill half way is mended by the next start. Links
 * are given, not followed; what did not belong to the last user (a hard link to a stranger's file) is left alone.
 */
async function handOver(dir: string, owner: BundleOwner): Promise<void> {
  const { uid: from } = await lstat(dir);
  if (from !== owner.uid) await giveDir(dir, from, owner);
}

async function giveDir(dir: string, from: number, owner: BundleOwner): Promise<void> {
  for (const { name } of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, name);
    const found = await lstat(path);
    if (found.isDirectory()) await giveDir(path, from, owner);
    else if (found.uid === from) await lchown(path, owner.uid, owner.gid);
  }
  await lchown(dir, owner.uid, owner.gid);
}

async function namesIn(dir: string, pattern: RegExp): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isDirectory() && pattern.test(entry.name))
    .map((entry) => entry.name);
}

async function removeIfEmpty(dir: string): Promise<void> {
  await rmdir(dir).catch(ignore('ENOENT', 'ENOTEMPTY', 'EEXIST'));
}

function ignore(...codes: readonly string[]): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error;
  };
}
