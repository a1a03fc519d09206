// Who the embedded database runs as, and whether that user can reach its files. PostgreSQL refuses to run as root, so
// root lends it an unprivileged existing user. A directory that user cannot enter is the Fault config_invalid.
import { execFile } from 'node:child_process';
import { chmod, chown, lstat, mkdir, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../base/errors.ts';

const run = promisify(execFile);

/** The user the database runs as. */
export interface Owner {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Whether it is another user than ours, so that processes and files must be handed over. */
  readonly foreign: boolean;
}

/** The user for the database: ourselves, or as root the first of `candidates` that exists. */
export async function findOwner(candidates: readonly string[] = ['postgres', 'nobody']): Promise<Owner> {
  const uid = process.getuid?.() ?? -1;
  if (uid !== 0) {
    const name = await idOf([], '-un').catch((cause: unknown) => {
      const detail = `the embedded database needs a user with a name, and uid ${uid} has none; add one, or set DATABASE_URL`;
      throw new Fault('config_invalid', detail, { cause });
    });
    return { name, uid, gid: process.getgid?.() ?? -1, foreign: false };
  }
  for (const name of candidates) {
    const ids = await Promise.all([idOf([name], '-u'), idOf([name], '-g')]).catch(() => undefined);
    if (ids !== undefined && ids[0] !== '0') {
      return { name, uid: Number(ids[0]), gid: Number(ids[1]), foreign: true };
    }
  }
  throw new Fault(
    'config_invalid',
    `root needs an unprivileged user to run the embedded database, and none of ${candidates.join(', ')} exists; ` +
      'add one ("useradd --system postgres"), or set DATABASE_URL',
  );
}

async function idOf(names: readonly string[], flag: string): Promise<string> {
  const { stdout } = await run('id', [flag, ...names]);
  return stdout.trim();
}

/**
 * Makes the data directory, and sees to it that the owner can pass through it (no more: entering, not listing). An
 * existing directory with something in it is not opened up behind its owner's back.
 * @returns its real path
 */
export async function openDataDir(dataDir: string, owner: Owner): Promise<string> {
  const made = await mkdir(dataDir, { recursive: true, mode: owner.foreign ? 0o711 : 0o700 });
  const path = await realpath(dataDir);
  if (!owner.foreign) return path;
  if (made !== undefined) await chmod(path, 0o711);
  else if (!(await mayEnter(path, owner)) && (await readdir(path)).length === 0) await chmod(path, 0o711);
  for (let at = path; ; at = dirname(at)) {
    if (!(await mayEnter(at, owner))) throw unreachable(at, path, owner);
    if (at === dirname(at)) return path;
  }
}

function unreachable(at: string, dataDir: string, owner: Owner): Fault {
  return new Fault(
    'config_invalid',
    `the user ${owner.name}, who runs the embedded database, cannot enter ${at}; ` +
      (at === dataDir
        ? `run "chmod o+x ${at}", or set MINIMCP_DATA_DIR to another directory`
        : `set MINIMCP_DATA_DIR to a directory outside of it (/var/lib/minimcp), or run "chmod o+x ${at}"`),
  );
}

async function mayEnter(path: string, owner: Owner): Promise<boolean> {
  const { mode, uid, gid } = await stat(path);
  if (uid === owner.uid) return (mode & 0o100) !== 0;
  if (gid === owner.gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}

/** Makes sure of a directory that only its owner enters; refuses one that somebody else made first. */
export async function ensurePrivateDir(path: string, owner: Owner): Promise<void> {
  const made = await mkdir(path, { mode: 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => (error.code === 'EEXIST' ? false : Promise.reject(error)),
  );
  if (made && owner.foreign) await chown(path, owner.uid, owner.gid);
  const found = await lstat(path);
  const ours = found.uid === owner.uid || (owner.foreign && found.uid === 0);
  if (!found.isDirectory() || !ours) {
    throw new Fault(
      'config_invalid',
      `${path} must be a directory of the user ${owner.name}; remove it, and start again`,
    );
  }
  if (owner.foreign && found.uid !== owner.uid) await chown(path, owner.uid, owner.gid);
  if ((found.mode & 0o077) !== 0) await chmod(path, 0o700);
}

/** Makes a directory of ours that the owner passes through but cannot change. */
export async function ensurePassage(path: string, owner: Owner): Promise<string> {
  await mkdir(path, { recursive: true, mode: owner.foreign ? 0o711 : 0o700 });
  if (owner.foreign) await chmod(path, 0o711);
  return path;
}

/** The longest path a Unix socket can have is 107 bytes; PostgreSQL's own file name takes 15 of them. */
export function fitsSocket(dir: string): boolean {
  return Buffer.byteLength(join(dir, '.s.PGSQL.5432')) <= 107;
}
