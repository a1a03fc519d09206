// The files of an instance: <data>/instances/<id>/{home,tmp} belong to its user, <id>/<generation>/ is the bundle. Names
// are checked before they become paths; a state file that is a link, somebody else's, torn, forged or of another
// generation is refused, which is the same as not being there.
import { constants, type Stats } from 'node:fs';
import {
  chmod,
  chown,
  type FileHandle,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
} from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { bundleFiles, type ExitRecord } from '../shim/contract.ts';
import { removeGroup } from './cgroups.ts';
import { type BundleRecord, bundleRecordSchema, exitRecordSchema } from './messages.ts';

export interface BundleName {
  readonly instanceId: string;
  readonly generation: number;
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const generationPattern = /^[1-9]\d{0,9}$/;
/** Written by us, beside the files of shim/contract.ts. */
const brokenFile = 'limit.json';
const stateFileBytesMax = 256 * 1024;

/** Where everything of an instance lies. @throws when the id is not a UUID: it never becomes a path then */
export function instanceDir(dataDir: string, instanceId: string): string {
  if (!uuidPattern.test(instanceId)) throw new Error('an instance is named by a UUID in lower case');
  return join(dataDir, 'instances', instanceId);
}

/** The home an instance keeps from generation to generation. */
export function homeDir(dataDir: string, instanceId: string): string {
  return join(instanceDir(dataDir, instanceId), 'home');
}

/** Its TMPDIR, emptied at each start. */
export function tmpDir(dataDir: string, instanceId: string): string {
  return join(instanceDir(dataDir, instanceId), 'tmp');
}

/** The bundle of one generation: spool, control socket, state files. */
export function bundleDir(dataDir: string, { instanceId, generation }: BundleName): string {
  if (!Number.isInteger(generation) || !generationPattern.test(String(generation))) {
    throw new Error('a generation is a whole number from 1');
  }
  return join(instanceDir(dataDir, instanceId), String(generation));
}

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

/** Writes who the shim is: whole or not at all, readable by us only. */
export async function writeRecord(dataDir: string, record: BundleRecord): Promise<void> {
  const dir = bundleDir(dataDir, record);
  const draft = join(dir, `${bundleFiles.identity}.${process.pid}`);
  const file = await open(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(JSON.stringify(record));
  } finally {
    await file.close();
  }
  await rename(draft, join(dir, bundleFiles.identity));
}

/** What was written down about a generation, if it is there and ours. */
export async function readRecord(dataDir: string, name: BundleName): Promise<BundleRecord | undefined> {
  const dir = bundleDir(dataDir, name);
  const ours = process.getuid?.() ?? -1;
  if (!(await isDirOf(dir, [ours]))) return undefined;
  const record = await readState(join(dir, bundleFiles.identity), [ours], bundleRecordSchema);
  return isOf(record, name) ? record : undefined;
}

/** Notes which limit a generation broke: what is said about its end afterwards, whoever asks. */
export async function writeBroken(dataDir: string, name: BundleName, message: string): Promise<void> {
  const path = join(bundleDir(dataDir, name), brokenFile);
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600).catch(
    (error: NodeJS.ErrnoException) => (error.code === 'EEXIST' ? undefined : Promise.reject(error)),
  );
  await file?.writeFile(JSON.stringify({ message })).finally(() => file.close());
}

/** The limit a generation broke, if one was noted. */
export async function readBroken(dataDir: string, name: BundleName): Promise<string | undefined> {
  const path = join(bundleDir(dataDir, name), brokenFile);
  return (await readState(path, [process.getuid?.() ?? -1], z.object({ message: z.string() })))?.message;
}

/** How a generation ended, in the words of its shim; null when it left none. */
export async function readExit(dataDir: string, name: BundleName, uid: number): Promise<ExitRecord | null> {
  const path = join(bundleDir(dataDir, name), bundleFiles.exit);
  const record = await readState(path, [uid], exitRecordSchema);
  return isOf(record, name) ? record : null;
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

/** Opens the file for the shim's standard error. */
export function openCrashFile(dir: string): Promise<FileHandle> {
  return open(join(dir, bundleFiles.crash), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
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

async function readState<T>(
  path: string,
  owners: readonly number[],
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  let file: FileHandle;
  try {
    // Not blocking: a pipe in place of a file must not hold us.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const found = await file.stat();
    if (
      !found.isFile() ||
      !owners.includes(found.uid) ||
      found.nlink !== 1 ||
      found.size > stateFileBytesMax
    ) {
      return undefined;
    }
    return schema.safeParse(JSON.parse(await file.readFile('utf8'))).data;
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

function isOf<T extends BundleName>(record: T | undefined, name: BundleName): record is T {
  return record?.instanceId === name.instanceId && record.generation === name.generation;
}

async function isDirOf(path: string, owners: readonly number[]): Promise<boolean> {
  const found: Stats | undefined = await lstat(path).catch(() => undefined);
  return found?.isDirectory() === true && owners.includes(found.uid);
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
