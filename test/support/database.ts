// A database of one's own for a test: migrated, empty, copied from a template in the run's one PostgreSQL.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { inject } from 'vitest';
import type { Embedded } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { type Db, openDb } from '../../src/db/pool.ts';
import { createJobQueue } from '../../src/jobs/queue.ts';
import { openCluster, silentLog } from './cluster.ts';

export interface TestDatabase {
  readonly db: Db;
  readonly connection: Embedded['connection'];
  /** For DATABASE_URL of a whole supervisor. */
  readonly url: string;
  /** Closes `db` and drops the database, whoever is still connected. */
  dispose(): Promise<void>;
}

const template = 'minimcp_template';
let cluster: Promise<Embedded> | undefined;

/** A fresh database with every migration applied, and the tables of the job queue. */
export async function testDatabase(): Promise<TestDatabase> {
  return make(`TEMPLATE ${template}`);
}

/** A fresh database with nothing in it. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return make('TEMPLATE template0');
}

async function make(from: string): Promise<TestDatabase> {
  cluster ??= firstOrAfter(inject('clusterDir'));
  const { connection: base } = await cluster;
  const database = `t_${randomBytes(6).toString('hex')}`;
  // Files copied as they are: half the work of writing them through the log.
  await admin(base, (client) => client.query(`CREATE DATABASE ${database} ${from} STRATEGY FILE_COPY`));
  const connection = { ...base, database };
  const db = openDb({
    connection,
    connectionsMax: 10,
    acquireTimeoutMs: 10_000,
    statementTimeoutMs: 30_000,
    onError: () => {},
  });
  return {
    db,
    connection,
    url: testDatabaseUrl(connection),
    dispose: async () => {
      await db.close();
      await admin(base, (client) => client.query(`DROP DATABASE ${database} WITH (FORCE)`));
    },
  };
}

/** A connection over a socket in the form DATABASE_URL takes. */
export function testDatabaseUrl(connection: Embedded['connection']): string {
  const query = new URLSearchParams({ host: connection.host, port: String(connection.port) });
  return `postgresql://${connection.user}@localhost/${connection.database}?${query}`;
}

/** Several test files start at once: one of them makes the cluster, the others wait for it. */
async function firstOrAfter(dir: string): Promise<Embedded> {
  const ready = join(dir, 'ready');
  const first = await mkdir(join(dir, 'first')).then(
    () => true,
    () => false,
  );
  for (let tries = 0; !first && tries < 600 && !existsSync(ready); tries += 1) await sleep(50);
  const embedded = await withTemplate(await openCluster(dir));
  await writeFile(ready, '');
  return embedded;
}

async function withTemplate(embedded: Embedded): Promise<Embedded> {
  embedded.release();
  const { connection } = embedded;
  await admin(connection, async (client) => {
    // Should the one that began have died, two of those that waited may come here together.
    await client.query('SELECT pg_advisory_lock(1)');
    const { rows } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (rows.length > 0) return;
    await client.query('DROP DATABASE IF EXISTS template_draft WITH (FORCE)');
    await client.query('CREATE DATABASE template_draft');
    const draft = { ...connection, database: 'template_draft' };
    await migrateUp({ connection: draft, log: silentLog });
    const queue = createJobQueue({ connection: draft, nodeId: 'template', log: silentLog });
    await queue.start();
    await queue.stop();
    await client.query(`ALTER DATABASE template_draft RENAME TO ${template}`);
  });
  return embedded;
}

async function admin(
  connection: Embedded['connection'],
  fn: (client: Client) => Promise<unknown>,
): Promise<void> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    await fn(client);
  } finally {
    await client.end();
  }
}
