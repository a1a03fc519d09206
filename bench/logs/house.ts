// What the bench of the log path stands on: the embedded PostgreSQL as it is shipped, one node, instances, and the
// ingester; and shims that write where the ingester reads.
import { randomUUID } from 'node:crypto';
import { mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { type Db, openDb } from '../../src/db/pool.ts';
import { createIngest, type Ingest } from '../../src/logs/ingest.ts';
import { type RunningShim, startShim } from '../../test/support/shim-harness.ts';

const log = pino({ level: 'silent' });
const nodeId = 'bench';

export interface House extends AsyncDisposable {
  readonly db: Db;
  readonly dataDir: string;
  readonly version: string;
  addInstance(): Promise<string>;
  /** A new ingester, not started. */
  ingest(): Ingest;
  /** Forgets every line and offset. */
  clear(): Promise<void>;
  stored(): Promise<number>;
}

export async function openHouse(dataDir: string): Promise<House> {
  const embedded = await startEmbedded({ dataDir, log });
  const { connection } = embedded;
  await migrateUp({ connection, log });
  const limits = { connectionsMax: 6, acquireTimeoutMs: 10_000, statementTimeoutMs: 600_000 };
  const db = openDb({ connection, ...limits, onError: () => {} });
  const [userId, typeId] = [randomUUID(), randomUUID()];
  await db.query('INSERT INTO nodes (id, epoch) VALUES ($1, 1)', [nodeId]);
  await db.query(
    `INSERT INTO users (id, email, password_hash, name) VALUES ($1, 'a@example.com', '!', 'a')`,
    [userId],
  );
  await db.query(
    `INSERT INTO mcp_types (id, name, display_name, server_script, package_name, package_version)
     VALUES ($1, 'chatty', 'Chatty', 'index.js', 'chatty', '1.0.0')`,
    [typeId],
  );
  const [version] = await db.query<{ server_version: string }>('SHOW server_version');
  let port = 20_000;
  return {
    db,
    dataDir,
    version: version?.server_version ?? '',
    async addInstance() {
      const id = randomUUID();
      port += 1;
      await db.query(
        `INSERT INTO mcp_instances (id, user_id, mcp_type_id, node_id, name, access_token, access_url, assigned_port, status, expires_at)
         VALUES ($1::uuid, $2, $3, $4, 'i-' || $1, $1, 'http://127.0.0.1/mcp', $5, 'running', now() + interval '1 day')`,
        [id, userId, typeId, nodeId, port],
      );
      return id;
    },
    ingest: () =>
      createIngest({
        ...{ db, dataDir, nodeId, log, fence: () => ({ nodeId, epoch: 1 }) },
        isEnded: () => Promise.resolve(false),
        removeGeneration: () => Promise.resolve(),
      }),
    clear: async () => {
      await db.query('TRUNCATE mcp_logs, log_offsets');
      // What the rounds before left to do must not be done in the next one.
      await db.query('CHECKPOINT');
    },
    stored: async () => (await db.query<{ n: number }>('SELECT count(*) AS n FROM mcp_logs'))[0]?.n ?? 0,
    async [Symbol.asyncDispose]() {
      await db.close();
      await embedded.stop();
    },
  };
}

/** A shim of this instance whose spool lies where the ingester looks, and whose news poke it. */
export async function chattyShim(
  house: House,
  ingest: Ingest,
  instanceId: string,
  lines: { readonly perSecond: number; readonly total: number },
): Promise<RunningShim> {
  const shim = await startShim({
    child: {
      args: [join(import.meta.dirname, 'chatty-child.cjs'), String(lines.perSecond), String(lines.total)],
    },
    spec: { instanceId },
  });
  const parent = join(house.dataDir, 'instances', instanceId);
  await mkdir(parent, { recursive: true });
  await rename(shim.bundleDir, join(parent, '1'));
  await symlink(join(parent, '1'), shim.bundleDir);
  const control = await shim.control(2);
  control.news.push = (...news) => {
    if (news.some((one) => one.news === 'spooled')) ingest.poke(instanceId, 1);
    return 0;
  };
  return shim;
}

/** The tools/call that makes the child begin. */
export async function begin(shim: RunningShim): Promise<void> {
  const headers = {
    authorization: `Bearer ${shim.token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const call = async (body: Record<string, unknown>, session?: string): Promise<Response> => {
    const response = await fetch(shim.url, {
      method: 'POST',
      headers: session === undefined ? headers : { ...headers, 'mcp-session-id': session },
      body: JSON.stringify({ jsonrpc: '2.0', ...body }),
    });
    await response.text();
    if (!response.ok) throw new Error(`the shim answered ${response.status}`);
    return response;
  };
  const clientInfo = { name: 'bench', version: '1.0.0' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const session =
    (await call({ id: 1, method: 'initialize', params })).headers.get('mcp-session-id') ?? undefined;
  await call({ method: 'notifications/initialized' }, session);
  await call({ id: 2, method: 'tools/call', params: { name: 'talk', arguments: {} } }, session);
}
