import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrateUp } from '../../src/db/migrate.ts';
import { type Db, openDb, type Principal, type Tx } from '../../src/db/pool.ts';
import { ensurePartition } from '../../src/db/queries/partitions.ts';
import { createIngest } from '../../src/logs/ingest.ts';
import { silentLog } from '../support/cluster.ts';
import { emptyDatabase, type TestDatabase, testDatabase } from '../support/database.ts';
import { addInstance, addNode, addType, addUser } from '../support/rows.ts';
import { openTestSpool } from '../support/spool.ts';

let database: TestDatabase;
interface Person {
  readonly principal: Principal;
  readonly instanceId: string;
}
let alice: Person;
let bob: Person;
let admin: Principal;

beforeAll(async () => {
  database = await testDatabase();
  const { db } = database;
  const [typeId, nodeId] = [await addType(db), await addNode(db)];
  await db.query(`INSERT INTO crypto_keys (key_id, check_value, state) VALUES ('k1', 'x', 'active')`);
  const person = async (): Promise<Person> => {
    const userId = await addUser(db);
    const instanceId = await addInstance(db, { userId, typeId, nodeId });
    await db.query(`INSERT INTO mcp_logs (mcp_instance_id, message) VALUES ($1, 'secret of ' || $2)`, [
      instanceId,
      userId,
    ]);
    await db.query(
      `INSERT INTO mcp_events (mcp_instance_id, user_id, event_type) VALUES ($1, $2, 'created')`,
      [instanceId, userId],
    );
    await db.query(
      `INSERT INTO api_tokens (user_id, token_hash, prefix) VALUES ($1, sha256($2::bytea), 'mmt_')`,
      [userId, userId],
    );
    await db.query(
      `INSERT INTO api_keys (user_id, mcp_type_id, encrypted_key, encryption_iv, key_id) VALUES ($1, $2, 'sealed', 'iv', 'k1')`,
      [userId, typeId],
    );
    return { principal: { userId, role: 'user' }, instanceId };
  };
  [alice, bob] = [await person(), await person()];
  admin = { userId: await addUser(db, 'admin'), role: 'admin' };
});
afterAll(() => database.dispose());

/** What a statement says under somebody's rights. */
function as(principal: Principal, sql: string, params: unknown[] = []): Promise<Record<string, unknown>[]> {
  return database.db.as(principal, (tx) => tx.query(sql, params));
}

const owned: readonly [table: string, owner: string][] = [
  ['users', 'id'],
  ['api_tokens', 'user_id'],
  ['api_keys', 'user_id'],
  ['mcp_instances', 'user_id'],
  ['mcp_events', 'user_id'],
];
const denied = { code: '42501' };

describe('one person', () => {
  it.each(owned)('sees only their own rows of %s', async (table, owner) => {
    const rows = await as(alice.principal, `SELECT ${owner} AS owner FROM ${table}`);
    expect(rows).toEqual([{ owner: alice.principal.userId }]);
    expect(
      await as(alice.principal, `SELECT id FROM ${table} WHERE ${owner} = $1`, [bob.principal.userId]),
    ).toEqual([]);
  });

  it('sees only the log lines of their own instances', async () => {
    const rows = await as(alice.principal, 'SELECT mcp_instance_id AS id FROM mcp_logs');
    expect(rows).toEqual([{ id: alice.instanceId }]);
    expect(
      await as(alice.principal, 'SELECT 1 FROM mcp_logs WHERE mcp_instance_id = $1', [bob.instanceId]),
    ).toEqual([]);
  });

  it('learns nothing of others by counting, joining, or a function that fails on what it sees', async () => {
    expect(await as(alice.principal, 'SELECT count(*) AS n FROM mcp_logs')).toEqual([{ n: 1 }]);
    expect(
      await as(alice.principal, 'SELECT i.id FROM mcp_logs l JOIN mcp_instances i ON true WHERE i.id <> $1', [
        alice.instanceId,
      ]),
    ).toEqual([]);
    // Division by zero on a foreign row would tell that it is there.
    expect(
      await as(
        alice.principal,
        `SELECT 1 FROM mcp_logs WHERE 1 / (CASE WHEN message LIKE '%${bob.principal.userId}' THEN 0 ELSE 1 END) = 1`,
      ),
    ).toHaveLength(1);
  });

  it.each([
    ['users', `UPDATE users SET role = 'admin'`],
    ['own row', `UPDATE mcp_instances SET expires_at = 'infinity'`],
    ['instances', 'DELETE FROM mcp_instances'],
    ['logs', 'DELETE FROM mcp_logs'],
    ['events', 'DELETE FROM mcp_events'],
    ['events', `UPDATE mcp_events SET event_type = 'x'`],
    ['events', `INSERT INTO mcp_events (event_type) VALUES ('x')`],
    ['keys', `UPDATE api_keys SET key_hint = 'x'`],
    ['settings', `UPDATE system_settings SET value = '0'`],
    ['tokens', 'DELETE FROM api_tokens'],
    ['ports', 'UPDATE port_allocations SET is_available = true'],
    ['migrations', 'SELECT * FROM pgmigrations'],
    ['master keys', 'SELECT * FROM crypto_keys'],
    ['idempotency', 'SELECT * FROM idempotency_keys'],
    ['usage', 'DELETE FROM instance_usage'],
    ['login codes', 'SELECT * FROM login_codes'],
    ['sessions', 'DELETE FROM sessions'],
    ['offsets', 'SELECT * FROM log_offsets'],
  ])('may not touch %s: %s', async (_what, sql) => {
    await expect(as(alice.principal, sql)).rejects.toMatchObject(denied);
    await expect(as(admin, sql)).rejects.toMatchObject(denied);
  });

  it.each([
    ['password hashes', 'SELECT password_hash FROM users'],
    ['token hashes', 'SELECT token_hash FROM api_tokens'],
    ['hashes of sessions', 'SELECT secret_hash FROM sessions'],
    ['sealed keys', 'SELECT encrypted_key FROM api_keys'],
    ['whole rows with them', 'SELECT * FROM api_keys'],
  ])('may not read %s, not even their own', async (_what, sql) => {
    await expect(as(alice.principal, sql)).rejects.toMatchObject(denied);
  });
});

describe('every table there is, also one that a later migration adds,', () => {
  /** Of no one: what there is to ask for. */
  const open = ['mcp_types'];

  it('is closed to the role of the API, or has a policy for it', async () => {
    const tables = await database.db.query<{
      name: string;
      kind: string;
      granted: boolean;
      guarded: boolean;
    }>(
      `SELECT c.relname AS name, c.relkind AS kind,
         has_any_column_privilege('minimcp_api', c.oid, 'SELECT, INSERT, UPDATE')
           OR has_table_privilege('minimcp_api', c.oid, 'DELETE, TRUNCATE, TRIGGER') AS granted,
         c.relrowsecurity AND EXISTS (
           SELECT FROM pg_policy WHERE polrelid = c.oid AND 'minimcp_api'::regrole = ANY (polroles)) AS guarded
       FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    );
    expect(tables.length).toBeGreaterThan(15);
    const unguarded = tables.filter(({ granted, guarded }) => granted && !guarded).map(({ name }) => name);
    expect(unguarded).toEqual(open);
    // A view would read with the rights of its owner.
    expect(tables.filter(({ kind, granted }) => granted && !['r', 'p'].includes(kind))).toEqual([]);
  });

  it('is reached by no function that has more rights than its caller', async () => {
    const functions = await database.db.query<{ name: string }>(
      `SELECT p.proname AS name FROM pg_proc p
       WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND has_function_privilege('minimcp_api', p.oid, 'EXECUTE')`,
    );
    expect(functions).toEqual([]);
  });
});

describe('partitions', () => {
  it('cannot be reached by name, neither those there are nor those to come', async () => {
    await ensurePartition(database.db, 'mcp_logs', new Date('2031-05-05'), 'month');
    await ensurePartition(database.db, 'mcp_events', new Date('2031-05-05'), 'month');
    const names = await database.db.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'`,
    );
    expect(names.length).toBeGreaterThan(6);
    for (const { name } of names) {
      await expect(as(admin, `SELECT * FROM ${name}`), name).rejects.toMatchObject(denied);
      await expect(
        as(alice.principal, `INSERT INTO ${name} (mcp_instance_id) VALUES ($1)`, [alice.instanceId]),
      ).rejects.toMatchObject(denied);
    }
  });

  it('cannot be made by anyone but the owner', async () => {
    await expect(
      as(admin, `SELECT minimcp_ensure_partition('mcp_logs', now() + interval '5 years')`),
    ).rejects.toMatchObject(denied);
  });
});

describe('an admin', () => {
  it('sees everyone, and the machines', async () => {
    expect(await as(admin, 'SELECT 1 FROM mcp_instances')).toHaveLength(2);
    expect(await as(admin, 'SELECT 1 FROM mcp_logs')).toHaveLength(2);
    expect(await as(admin, 'SELECT 1 FROM nodes')).toHaveLength(1);
    expect(await as(alice.principal, 'SELECT 1 FROM nodes')).toEqual([]);
    expect(await as(alice.principal, 'SELECT 1 FROM system_settings')).toEqual([]);
  });
});

describe('nobody', () => {
  it('sees nothing: without a person, with an unknown one, or with one that is none', async () => {
    const bare = (fn: (tx: Tx) => Promise<unknown>) =>
      database.db.tx(async (tx) => {
        await tx.query('SET LOCAL ROLE minimcp_api');
        return fn(tx);
      });
    for (const [table] of [...owned, ['mcp_logs']]) {
      const column = table === 'mcp_logs' ? 'message' : 'id';
      expect(await bare((tx) => tx.query(`SELECT ${column} FROM ${table}`)), table).toEqual([]);
      expect(
        await as({ userId: randomUUID(), role: 'user' }, `SELECT ${column} FROM ${table}`),
        table,
      ).toEqual([]);
    }
    // A role without a person is no admin.
    const rows = await bare(async (tx) => {
      await tx.query(`SELECT set_config('minimcp.role', 'admin', true)`);
      return tx.query('SELECT 1 FROM mcp_instances');
    });
    expect(rows).toEqual([]);
    await expect(as({ userId: 'x', role: 'user' }, 'SELECT 1 FROM mcp_instances')).rejects.toMatchObject({
      code: '22P02',
    });
  });

  it('inherits the person before them from a pooled connection', async () => {
    await Promise.all(Array.from({ length: 20 }, () => as(admin, 'SELECT 1')));
    const rows = await Promise.all(
      Array.from({ length: 20 }, () =>
        database.db.query(
          `SELECT current_user = session_user AS own, current_setting('minimcp.user_id', true) AS id`,
        ),
      ),
    );
    expect(rows.flat().every((row) => (row as { own: boolean }).own)).toBe(true);
    expect(rows.flat().every((row) => !(row as { id: string | null }).id)).toBe(true);
  });
});

describe('the shipper', () => {
  const asShipper = (sql: string, params: unknown[] = []) =>
    database.db.tx(async (tx) => {
      await tx.query('SET LOCAL ROLE minimcp_shipper');
      return tx.query(sql, params);
    });

  it('inserts lines and moves offsets', async () => {
    await asShipper(`INSERT INTO mcp_logs (mcp_instance_id, message) VALUES ($1, 'shipped')`, [
      alice.instanceId,
    ]);
    await asShipper(`INSERT INTO log_offsets (spool) VALUES ('a')`);
    await asShipper('UPDATE log_offsets SET segment = 1');
  });

  it.each([
    'SELECT * FROM mcp_logs',
    'DELETE FROM mcp_logs',
    'DELETE FROM log_offsets',
    'SELECT * FROM users',
    'SELECT * FROM api_keys',
    'SELECT * FROM mcp_instances',
    'UPDATE nodes SET epoch = 9',
  ])('may not %s', async (sql) => {
    await expect(asShipper(sql)).rejects.toMatchObject(denied);
  });
});

describe('the owner', () => {
  it('is bound like everybody, and let through by a policy of its own', async () => {
    const unforced = await database.db.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity AND relkind IN ('r', 'p')`,
    );
    expect(unforced).toEqual([{ name: 'mcp_logs' }]);
    const letThrough = await database.db.query<{ n: number }>(
      `SELECT count(*) AS n FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
       WHERE p.polname = 'supervisor' AND p.polroles = ARRAY[c.relowner]`,
    );
    expect(letThrough[0]?.n).toBe(13);
  });
});

describe('an owner that is no superuser, as an external database has it', () => {
  const name = `owner_${randomUUID().slice(0, 8)}`;
  let plain: TestDatabase;
  let owner: Db;
  let dataDir: string;

  beforeAll(async () => {
    [plain, dataDir] = await Promise.all([emptyDatabase(), mkdtemp(join(tmpdir(), 'minimcp-owner-'))]);
    await plain.db.query(`CREATE ROLE ${name} NOLOGIN CREATEROLE`);
    await plain.db.query(`GRANT minimcp_api TO ${name}`);
    await plain.db.query(`ALTER DATABASE ${plain.connection.database} OWNER TO ${name}`);
    const connection = { connectionString: `${plain.url}&options=${encodeURIComponent(`-c role=${name}`)}` };
    await migrateUp({ connection, log: silentLog });
    const limits = { connectionsMax: 4, acquireTimeoutMs: 5_000, statementTimeoutMs: 10_000 };
    owner = openDb({ connection, ...limits, onError: () => {} });
  });
  afterAll(async () => {
    await owner.close();
    await plain.db.query(`REASSIGN OWNED BY ${name} TO CURRENT_USER`);
    await plain.db.query(`DROP OWNED BY ${name}`);
    await plain.db.query(`DROP ROLE ${name}`);
    await Promise.all([plain.dispose(), rm(dataDir, { recursive: true, force: true })]);
  });

  it('works on its tables, stores log lines, and steps down', async () => {
    expect(await owner.query('SELECT current_user::text AS me')).toEqual([{ me: name }]);
    const nodeId = await addNode(owner);
    const [userId, stranger] = [await addUser(owner), await addUser(owner)];
    const instanceId = await addInstance(owner, { userId, nodeId });
    await (await openTestSpool(dataDir, instanceId)).lines(5);
    const ingest = createIngest({
      ...{ db: owner, dataDir, nodeId, log: silentLog, fence: () => ({ nodeId, epoch: 1 }) },
      isEnded: () => Promise.resolve(false),
      removeGeneration: () => Promise.resolve(),
    });
    await ingest.start();
    const count = async (as: string): Promise<unknown> =>
      (
        await owner.as({ userId: as, role: 'user' }, (tx) => tx.query('SELECT count(*) AS n FROM mcp_logs'))
      )[0];
    await expect.poll(() => count(userId), { timeout: 10_000 }).toEqual({ n: 5 });
    await ingest.stop();
    expect(await count(stranger)).toEqual({ n: 0 });
  });
});
