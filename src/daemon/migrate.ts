// Migrations without the supervisor: `minimcp migrate`. The embedded database is started for it and stopped again,
// unless it was running already. It refuses what db/migrate refuses: a database that a newer MiniMCP has migrated.
import { createLogger } from '../base/log.ts';
import { startEmbedded } from '../db/embedded.ts';
import { type MigrationStatus, migrateDown, migrateUp, migrationStatus } from '../db/migrate.ts';
import type { DbOptions } from '../db/pool.ts';
import { readConfig } from './config.ts';

export type MigrateAction =
  | { readonly kind: 'up' }
  | { readonly kind: 'down'; readonly count: number }
  | { readonly kind: 'status' };

export interface MigrateResult extends MigrationStatus {
  /** Applied or taken back by this call, in the order it was done. */
  readonly changed: readonly string[];
}

/**
 * Does one thing to the schema of the configured database.
 * @throws Fault config_invalid, database_unavailable
 */
export async function migrateOnce(
  env: Readonly<Record<string, string | undefined>>,
  action: MigrateAction,
): Promise<MigrateResult> {
  const config = readConfig(env, false);
  // Standard output belongs to the answer.
  const log = createLogger({ level: 'silent', pretty: false });
  const work = async (connection: DbOptions['connection']): Promise<MigrateResult> => {
    const changed =
      action.kind === 'up'
        ? await migrateUp({ connection, log })
        : action.kind === 'down'
          ? await migrateDown({ connection, log, count: action.count })
          : [];
    return { changed, ...(await migrationStatus({ connection })) };
  };
  if (config.databaseUrl !== undefined) return work({ connectionString: config.databaseUrl });
  const embedded = await startEmbedded({ dataDir: config.dataDir, log });
  try {
    return await work(embedded.connection);
  } finally {
    if (embedded.adopted) embedded.release();
    else await embedded.stop();
  }
}
