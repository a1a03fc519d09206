// A PostgreSQL of one's own, for tests that kill, stop and restart the server itself. What it has committed survives
// that, as it must for anything to be promised: only the machine must not lose its power.
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { openDb } from '../../src/db/pool.ts';
import { readProcessTable, treeOf } from '../../src/runtime/process-table.ts';
import { silentLog } from './cluster.ts';
import { type TestDatabase, testDatabaseUrl } from './database.ts';

export interface OwnDatabase extends TestDatabase {
  /** What lies in it is the server's: its log, and the cluster. */
  readonly dir: string;
  /** Every process of the server, at once, with SIGKILL. */
  kill9(): Promise<void>;
  /** SIGSTOP or SIGCONT to every process of the server. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Asks the server to stop, and waits until it has. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts a server with one migrated database; `settings` come on top. */
export async function ownDatabase(settings: Readonly<Record<string, string>> = {}): Promise<OwnDatabase> {
  const dir = await mkdtemp(join(tmpdir(), 'mm-own-'));
  await chmod(dir, 0o711);
  const open = () =>
    startEmbedded({
      dataDir: dir,
      log: silentLog,
      settings: { fsync: 'off', max_connections: '100', ...settings },
    });
  let embedded = await open();
  embedded.release();
  const { connection } = embedded;
  await migrateUp({ connection, log: silentLog });
  const db = openDb({
    connection,
    connectionsMax: 5,
    acquireTimeoutMs: 10_000,
    statementTimeoutMs: 30_000,
    onError: () => {},
  });
  const pids = async (): Promise<number[]> => {
    const text = await readFile(join(dir, 'pg', 'cluster', 'data', 'postmaster.pid'), 'utf8').catch(() => '');
    return treeOf(readProcessTable(), Number.parseInt(text, 10) || -1).map(({ pid }) => pid);
  };
  const send = async (signal: NodeJS.Signals): Promise<void> => {
    for (const pid of await pids()) process.kill(pid, signal);
  };
  return {
    dir,
    db,
    connection,
    url: testDatabaseUrl(connection),
    kill9: () => send('SIGKILL'),
    signal: send,
    stop: () => embedded.stop(),
    async start() {
      embedded = await open();
      embedded.release();
    },
    async dispose() {
      await db.close();
      await embedded.stop();
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
