// What doctor finds out about files: the data directory and the two files that hold secrets. Only looks.
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Config } from './config.ts';
import type { Check } from './doctor-check.ts';

const gib = 1_024 ** 3;
/** An empty embedded database with its log takes about 100 MiB. */
const freeBytesMin = 0.25 * gib;
const freeBytesGood = 2 * gib;

/** Whether the data directory is there or can be made, can be written, and has room. */
export async function checkDataDir(dataDir: string): Promise<Check> {
  const name = 'data directory';
  const there = await nearestExisting(dataDir);
  const missing = there !== dataDir;
  try {
    await access(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    const remedy = `Make ${dataDir} writable for this user, or set MINIMCP_DATA_DIR to another directory.`;
    return { name, state: 'fail', detail: messageOf(error), remedy };
  }
  const disk = await statfs(there);
  const freeBytes = disk.bavail * disk.bsize;
  const free = `${(freeBytes / gib).toFixed(1)} GiB free`;
  const detail = `${dataDir}${missing ? ' (made at the first start)' : ''}, ${free}`;
  if (freeBytes >= freeBytesGood) return { name, state: 'ok', detail, remedy: null };
  return {
    name,
    state: freeBytes < freeBytesMin ? 'fail' : 'warn',
    detail,
    remedy:
      'The database, logs and instances live there: make room, or set MINIMCP_DATA_DIR to a larger disk.',
  };
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found !== undefined || at === dirname(at)) return at;
  }
}

/** Whether the master keys and the admin token can be read by us, and by nobody else. */
export async function checkSecretFiles(config: Config): Promise<readonly Check[]> {
  return Promise.all([
    checkSecret('master keys', config.masterKeysFile),
    checkSecret('admin token', join(config.dataDir, 'admin-token')),
  ]);
}

async function checkSecret(name: string, file: string): Promise<Check> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    if (found.code === 'ENOENT') {
      return { name, state: 'ok', detail: `${file} is made at the first start`, remedy: null };
    }
    return {
      name,
      state: 'fail',
      detail: messageOf(found),
      remedy: `Make ${file} readable for the supervisor.`,
    };
  }
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  const detail = `${file}, mode ${mode}`;
  if ((found.mode & 0o077) !== 0) {
    return { name, state: 'fail', detail, remedy: `Others can read it: chmod 600 ${file}` };
  }
  const readable = await access(file, constants.R_OK).then(
    () => true,
    () => false,
  );
  if (readable) return { name, state: 'ok', detail, remedy: null };
  return { name, state: 'fail', detail, remedy: `It belongs to uid ${found.uid}: run as that user.` };
}
