// What was installed first for a package is what counts: its lock, to the last dependency, and a digest of the files as
// they were stored. Both are kept in the database, apart from the files they vouch for.
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Fault } from '../base/errors.ts';
import type { Db } from '../db/pool.ts';
import {
  insertPackageLock,
  keepPackageDigest,
  type PackageKey,
  type PackageLock,
  readPackageLock,
} from '../db/queries/packages.ts';

export interface Ledger {
  lockOf(key: PackageKey): Promise<PackageLock | undefined>;
  /** @returns the lock that counts when another was kept first, else undefined */
  keepLock(key: PackageKey, lock: PackageLock): Promise<PackageLock | undefined>;
  /** Compares the files of a stored package with what was stored first. @throws Fault package_tampered */
  verify(key: PackageKey, dir: string): Promise<void>;
}

export function createLedger(db: Db): Ledger {
  return {
    lockOf: (key) => readPackageLock(db, key),
    async keepLock(key, lock) {
      if (await insertPackageLock(db, key, lock)) return undefined;
      const kept = await readPackageLock(db, key);
      return isDeepStrictEqual(kept, lock) ? undefined : kept;
    },
    async verify(key, dir) {
      // Put there before locks were kept, or by hand: there is nothing to compare with.
      if ((await readPackageLock(db, key)) === undefined) return;
      const found = await digestOf(dir);
      const kept = await keepPackageDigest(db, key, `${process.platform}-${process.arch}`, found);
      if (kept === undefined || kept === found) return;
      throw new Fault(
        'package_tampered',
        `the files of ${key.name}@${key.version} in ${dir} are not those that were installed; remove that directory ` +
          'and they are fetched again',
      );
    },
  };
}

/** A digest of everything in a directory: paths, what they are, and what is in them. */
async function digestOf(dir: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(dir, { recursive: true })).sort()) {
    const path = join(dir, name);
    const found = await lstat(path);
    if (found.isFile()) hash.update(`file\0${name}\0${found.size}\0`).update(await readFile(path));
    else hash.update(`${found.isDirectory() ? 'dir' : `link\0${await readlink(path)}`}\0${name}\0`);
  }
  return `sha256-${hash.digest('base64')}`;
}
