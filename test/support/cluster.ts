// The test run's PostgreSQL: our own embedded one, without the promises to the disk that tests do not need.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Embedded, startEmbedded } from '../../src/db/embedded.ts';

export const silentLog = pino({ level: 'silent' });

const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  autovacuum: 'off',
  max_connections: '300',
};

/** Starts the run's cluster, or finds it running. */
export function openCluster(dataDir: string): Promise<Embedded> {
  return startEmbedded({ dataDir, log: silentLog, settings });
}

export function clusterExists(dataDir: string): Promise<boolean> {
  return access(join(dataDir, 'pg')).then(
    () => true,
    () => false,
  );
}
