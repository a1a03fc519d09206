// Statements on mcp_packages: what was installed first for a package is what counts from then on.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

export interface PackageKey {
  readonly name: string;
  readonly version: string;
}

/** A package-lock.json as it is kept. */
export type PackageLock = Record<string, unknown>;

const lockRow = z.object({ lock: z.record(z.string(), z.unknown()) });
const digestRow = z.object({ digest: z.string() });

/** The lock of a package, or undefined when none was ever kept. */
export async function readPackageLock(q: Queryable, key: PackageKey): Promise<PackageLock | undefined> {
  const rows = await q.query('SELECT lock FROM mcp_packages WHERE name = $1 AND version = $2', [
    key.name,
    key.version,
  ]);
  return rows[0] === undefined ? undefined : lockRow.parse(rows[0]).lock;
}

/** Keeps a lock unless there is one. @returns whether it is this one that is kept */
export async function insertPackageLock(q: Queryable, key: PackageKey, lock: PackageLock): Promise<boolean> {
  const rows = await q.query(
    `INSERT INTO mcp_packages (name, version, lock) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1`,
    [key.name, key.version, JSON.stringify(lock)],
  );
  return rows.length === 1;
}

/** Keeps the digest of what is stored on a platform unless there is one. @returns the one that is kept, if any lock is */
export async function keepPackageDigest(
  q: Queryable,
  key: PackageKey,
  platform: string,
  digest: string,
): Promise<string | undefined> {
  const rows = await q.query(
    `UPDATE mcp_packages SET digests = jsonb_build_object($3::text, $4::text) || digests
     WHERE name = $1 AND version = $2 RETURNING digests ->> $3::text AS digest`,
    [key.name, key.version, platform, digest],
  );
  return rows[0] === undefined ? undefined : digestRow.parse(rows[0]).digest;
}
