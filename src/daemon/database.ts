// The database of this supervisor: the embedded one, or the one DATABASE_URL names; reached, migrated, and opened. An
// embedded one is stopped with a clean stop and found running again after a crash.
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { startEmbedded } from '../db/embedded.ts';
import { migrateUp } from '../db/migrate.ts';
import { type Db, type DbOptions, openDb } from '../db/pool.ts';
import type { Config } from './config.ts';

export interface Database extends Service {
  readonly db: Db;
  readonly connection: DbOptions['connection'];
}

/** @throws Fault database_unavailable when DATABASE_URL does not answer, config_invalid when the schema is newer */
export async function openDatabase(config: Config, log: Logger): Promise<Database> {
  const embedded =
    config.databaseUrl === undefined ? await startEmbedded({ dataDir: config.dataDir, log }) : undefined;
  const connection = embedded?.connection ?? { connectionString: config.databaseUrl };
  try {
    await migrateUp({ connection, log });
  } catch (error) {
    await embedded?.stop();
    if (error instanceof Fault || embedded !== undefined) throw error;
    throw new Fault('database_unavailable', `DATABASE_URL cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const db = openDb({
    connection: connection as DbOptions['connection'],
    connectionsMax: 16,
    acquireTimeoutMs: 5_000,
    statementTimeoutMs: 30_000,
    onError: (error) => log.warn({ reason: error.message }, 'a connection to the database was lost'),
  });
  return {
    name: 'database',
    db,
    connection: connection as DbOptions['connection'],
    start: async () => {},
    async stop() {
      await db.close();
      await embedded?.stop();
    },
  };
}
