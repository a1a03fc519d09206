// The schema: numbered files in migrations/, applied by node-pg-migrate under its advisory lock. It refuses a database
// that a newer MiniMCP has already migrated (Fault config_invalid): going down is that version's business.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { Fault } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { DbOptions } from './pool.ts';

const migrationsDir = join(import.meta.dirname, '../../migrations');
const migrationsTable = 'pgmigrations';

export interface MigrateOptions {
  readonly connection: DbOptions['connection'];
  readonly log: Logger;
}

/** Names of migrations, in order. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied, but not known to this code: the database is newer. */
  readonly unknown: readonly string[];
}

/** What is applied and what waits. Changes nothing. */
export async function migrationStatus(options: Pick<MigrateOptions, 'connection'>): Promise<MigrationStatus> {
  const files = (await readdir(migrationsDir)).filter((name) => /^\d+_.*\.sql$/.test(name)).sort();
  const known = files.map((name) => name.slice(0, -'.sql'.length));
  const applied = await withClient(options.connection, async (client) => {
    const { rows } = await client.query(
      `SELECT to_regclass('public.${migrationsTable}') IS NOT NULL AS there`,
    );
    if (rows[0]?.there !== true) return [];
    const result = await client.query<{ name: string }>(
      `SELECT name FROM public.${migrationsTable} ORDER BY id`,
    );
    return result.rows.map((row) => row.name);
  });
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

/** Applies what waits, all of it or nothing. @returns the names applied now */
export async function migrateUp(options: MigrateOptions): Promise<string[]> {
  const status = await migrationStatus(options);
  refuseNewer(status);
  if (status.pending.length === 0) return [];
  return run(options, 'up', Number.POSITIVE_INFINITY);
}

/** Takes back the last `count` migrations, their data with them. @returns the names taken back */
export async function migrateDown(options: MigrateOptions & { readonly count: number }): Promise<string[]> {
  const status = await migrationStatus(options);
  refuseNewer(status);
  if (status.applied.length === 0 || options.count < 1) return [];
  return run(options, 'down', options.count);
}

function refuseNewer(status: MigrationStatus): void {
  if (status.unknown.length === 0) return;
  throw new Fault(
    'config_invalid',
    `the database was migrated by a newer MiniMCP (${status.unknown.join(', ')}); run that version, or have it ` +
      `take back ${status.unknown.length} with "minimcp migrate down"`,
  );
}

async function run(options: MigrateOptions, direction: 'up' | 'down', count: number): Promise<string[]> {
  // Loaded only when there is work: it brings a compiler along that a running supervisor has no use for.
  const { runner } = await import('node-pg-migrate');
  return withClient(options.connection, async (client) => {
    // Bounds the wait for another migrator, and for readers of a table that is to change.
    await client.query(`SET lock_timeout = '60s'`);
    const done = await runner({
      dbClient: client,
      dir: migrationsDir,
      ignorePattern: '(?!.*[.]sql$).*',
      direction,
      count,
      migrationsTable,
      schema: 'public',
      singleTransaction: true,
      advisoryLockMode: 'wait',
      log: (message) => options.log.debug({ migration: message.trim() }, 'migrating'),
    });
    const names = done.map((migration) => migration.name);
    if (names.length > 0) options.log.info({ direction, migrations: names }, 'migrated the database');
    return names;
  });
}

async function withClient<T>(
  connection: MigrateOptions['connection'],
  fn: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({
    ...connection,
    application_name: 'minimcp-migrate',
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await fn(client);
  } finally {
    await client.end().catch(() => {});
  }
}
