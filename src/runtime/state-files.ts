// The small files of a bundle that say who runs in it and how it ended. One that is a link, somebody else's, torn, forged
// or of another generation is refused, which is the same as not being there.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { bundleFiles, type ExitRecord } from '../shim/contract.ts';
import { type BundleName, bundleDir } from './bundle-names.ts';
import { type BundleRecord, bundleRecordSchema, exitRecordSchema } from './messages.ts';

/** Written by us, beside the files of shim/contract.ts. */
const brokenFile = 'limit.json';
const stateFileBytesMax = 256 * 1024;

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

/** Opens the file for the shim's standard error. */
export function openCrashFile(dir: string): Promise<FileHandle> {
  return open(join(dir, bundleFiles.crash), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
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
