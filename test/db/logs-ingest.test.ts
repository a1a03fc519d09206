import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Fence, openDb } from '../../src/db/pool.ts';
import { createIngest, type Ingest } from '../../src/logs/ingest.ts';
import { removeGenerationDir } from '../../src/logs/spool-dir.ts';
import { silentLog } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addInstance, addNode } from '../support/rows.ts';
import { lineText, openTestSpool, type TestSpool } from '../support/spool.ts';

let database: TestDatabase;
let dataDir: string;
let fence: Fence;
let ingest: Ingest;
let ended: (instanceId: string, generation: number) => boolean = () => true;

beforeEach(async () => {
  [database, dataDir] = await Promise.all([testDatabase(), mkdtemp(join(tmpdir(), 'minimcp-logs-'))]);
  fence = { nodeId: await addNode(database.db), epoch: 1 };
  ended = () => true;
  ingest = makeIngest();
});

afterEach(async () => {
  await ingest.stop();
  await Promise.all([database.dispose(), rm(dataDir, { recursive: true, force: true })]);
});

function makeIngest(of = fence, db = database.db): Ingest {
  return createIngest({
    ...{ db, dataDir, nodeId: of.nodeId, log: silentLog, lingerMs: 1, sweepMs: 60_000 },
    fence: () => of,
    isEnded: (id, generation) => Promise.resolve(ended(id, generation)),
    removeGeneration: (id, generation) => removeGenerationDir(dataDir, id, generation),
  });
}

interface Stored {
  readonly message: string;
  readonly level: string;
  readonly source: string;
  readonly seq: number;
  readonly metadata: Record<string, unknown>;
}

function stored(instanceId: string): Promise<Stored[]> {
  return database.db.query<Stored>(
    'SELECT message, level, source, seq, metadata FROM mcp_logs WHERE mcp_instance_id = $1 ORDER BY id',
    [instanceId],
  );
}

/** Waits until so many lines of the instance are there. */
async function untilStored(instanceId: string, count: number): Promise<Stored[]> {
  await expect
    .poll(async () => (await stored(instanceId)).length, { timeout: 10_000, interval: 10 })
    .toBe(count);
  return stored(instanceId);
}

/** An instance that is at work as far as the database knows. */
async function instanceAtWork(): Promise<{ id: string; spool: TestSpool }> {
  const id = await addInstance(database.db, { nodeId: fence.nodeId });
  await database.db.query(
    `UPDATE mcp_instances SET status = 'running', assigned_port = 3001 + (random() * 60000)::int WHERE id = $1`,
    [id],
  );
  return { id, spool: await openTestSpool(dataDir, id) };
}

function atRest(id: string): Promise<unknown> {
  return database.db.query(
    `UPDATE mcp_instances SET status = 'disconnected', assigned_port = NULL WHERE id = $1`,
    [id],
  );
}

describe('log lines on disk', () => {
  it('are stored once, in order, with what they carry', async () => {
    const { id, spool } = await instanceAtWork();
    await ingest.start();
    await spool.raw(lineText({ seq: 1, level: 'warn', source: 'system', msg: 'first', meta: { pid: 7 } }));
    ingest.poke(id, 1);
    await spool.lines(500);
    ingest.poke(id, 1);
    const rows = await untilStored(id, 501);
    expect(rows[0]).toEqual({
      message: 'first',
      level: 'warn',
      source: 'system',
      seq: 1,
      metadata: { pid: 7 },
    });
    expect(rows.slice(1).map((row) => row.seq)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });

  it('that were there before are found without a poke', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.lines(10);
    await ingest.start();
    await untilStored(id, 10);
  });

  it('of many instances go together', async () => {
    const all = [];
    for (let i = 0; i < 30; i += 1) all.push(await instanceAtWork());
    await ingest.start();
    await Promise.all(all.map(({ spool }) => spool.lines(100)));
    for (const { id } of all) ingest.poke(id, 1);
    for (const { id } of all) await untilStored(id, 100);
  });

  it('go on over segments, and only stored segments are deleted', async () => {
    const { id, spool } = await instanceAtWork();
    await ingest.start();
    for (let segment = 0; segment < 4; segment += 1) {
      await spool.lines(50);
      await spool.roll();
    }
    await spool.lines(1);
    ingest.poke(id, 1);
    const rows = await untilStored(id, 201);
    expect(rows.map((row) => row.seq)).toEqual(Array.from({ length: 201 }, (_, i) => i + 1));
    await expect.poll(() => existsSync(join(spool.dir, '0000000004.ndjson'))).toBe(false);
    expect(existsSync(join(spool.dir, '0000000005.ndjson'))).toBe(true);
  });

  it('without their end are waited for while someone writes', async () => {
    const { id, spool } = await instanceAtWork();
    await ingest.start();
    const text = lineText({ msg: 'in two halves' });
    await spool.raw(text.slice(0, 20));
    await spool.lines(0);
    ingest.poke(id, 1);
    const other = await instanceAtWork();
    await other.spool.lines(1);
    ingest.poke(other.id, 1);
    await untilStored(other.id, 1);
    expect(await stored(id)).toEqual([]);
    await spool.raw(text.slice(20));
    ingest.poke(id, 1);
    expect(await untilStored(id, 1)).toMatchObject([{ message: 'in two halves' }]);
  });

  it('torn off by a kill are named once nobody writes any more, and the directory goes', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.lines(3);
    await spool.raw('{"seq":4,"t":17');
    await ingest.start();
    await untilStored(id, 3);
    await atRest(id);
    ingest.poke(id, 1);
    const rows = await untilStored(id, 4);
    expect(rows[3]).toMatchObject({
      level: 'warn',
      source: 'system',
      metadata: { marker: 'torn', bytes: 15 },
    });
    await expect.poll(() => existsSync(join(dataDir, 'instances', id, '1')), { timeout: 20_000 }).toBe(false);
  });

  it('stay until the processes are proven gone, whatever the row says', async () => {
    ended = () => false;
    const { id, spool } = await instanceAtWork();
    await spool.lines(3);
    await atRest(id);
    await ingest.start();
    await untilStored(id, 3);
    await spool.lines(2);
    ingest.poke(id, 1);
    await untilStored(id, 5);
    expect(existsSync(spool.dir)).toBe(true);
  });

  it('of an instance that is deleted are let go, without holding up the others', async () => {
    const [gone, here] = [await instanceAtWork(), await instanceAtWork()];
    await gone.spool.lines(3);
    await here.spool.lines(3);
    await database.db.query('DELETE FROM mcp_instances WHERE id = $1', [gone.id]);
    await ingest.start();
    await untilStored(here.id, 3);
    await expect.poll(() => existsSync(gone.spool.dir), { timeout: 20_000 }).toBe(false);
  });
});

describe('what PostgreSQL would refuse', () => {
  it('is made harmless', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.raw(
      lineText({ msg: 'nul \0 tab \t back \\ \\N cr \r nl \n end', meta: { 'k\0': ['\0', '\ud800', 'ok'] } }),
    );
    await spool.raw('{"seq":2,"t":1,"level":"LOUD","source":"x","msg":"half \\ud83d \\udc00"}\n');
    await spool.raw(lineText({ msg: '\\.' }));
    await ingest.start();
    const rows = await untilStored(id, 3);
    expect(rows[0]?.message).toBe('nul \ufffd tab \t back \\ \\N cr \r nl \n end');
    expect(rows[0]?.metadata).toEqual({ 'k\ufffd': ['\ufffd', '\ufffd', 'ok'] });
    expect(rows[1]).toMatchObject({
      level: 'info',
      source: 'process',
      message: 'half \ufffd \ufffd',
      metadata: { clock_ms: 1 },
    });
    expect(rows[2]?.message).toBe('\\.');
  });

  it('and is no line at all becomes a marker, wherever it stands', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.raw(`not json\n${lineText({ seq: 1 })}[]\nnull\n{"msg":7}\n\n${lineText({ seq: 2 })}`);
    await spool.raw(Buffer.from([0xff, 0xfe, 0x00, 0x0a]));
    await ingest.start();
    const rows = await untilStored(id, 7);
    expect(rows.filter((row) => row.metadata.marker === 'unreadable')).toHaveLength(5);
    expect(rows.filter((row) => row.source === 'process').map((row) => row.seq)).toEqual([1, 2]);
  });

  it('though it looks right is found by halving, and only that line is replaced', async () => {
    // A server with less of a stack than usual refuses nesting that ours still reads.
    await database.db.query(`ALTER DATABASE ${database.connection.database} SET max_stack_depth = '100kB'`);
    const options = { acquireTimeoutMs: 5_000, statementTimeoutMs: 5_000, onError: () => {} };
    const db = openDb({ connection: database.connection, connectionsMax: 2, ...options });
    ingest = makeIngest(fence, db);
    const { id, spool } = await instanceAtWork();
    const nested = (depth: number): string =>
      `{"seq":41,"t":${Date.now()},"level":"info","source":"process","msg":"poison","meta":{"deep":${'['.repeat(depth)}${']'.repeat(depth)}}}\n`;
    await spool.lines(40);
    await spool.raw(nested(1_500));
    await spool.lines(40);
    await spool.raw(nested(100_000));
    await ingest.start();
    const rows = await untilStored(id, 82);
    await ingest.stop();
    await db.close();
    expect(rows.at(-1)?.metadata).toEqual({ marker: 'unreadable' });
    expect(rows.filter((row) => row.metadata.marker === 'refused')).toMatchObject([
      { seq: 41, source: 'process', level: 'warn', metadata: { reason: '54001' } },
    ]);
    expect(rows.filter((row) => row.message.startsWith('line '))).toHaveLength(80);
  });

  it('because it has no end is cut, and what follows is read', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.raw('x'.repeat(2_500_000));
    await spool.raw(`\n${lineText({ seq: 9, msg: 'after' })}`);
    await ingest.start();
    await expect
      .poll(async () => (await stored(id)).at(-1)?.message, { timeout: 10_000, interval: 20 })
      .toBe('after');
    expect((await stored(id)).length).toBeLessThan(6);
  });
});

describe('a database that is away', () => {
  it('is waited for, and nothing is lost, stored twice, or left unread', async () => {
    const { id, spool } = await instanceAtWork();
    await ingest.start();
    await spool.lines(100);
    ingest.poke(id, 1);
    await untilStored(id, 100);
    const { database: name } = database.connection;
    const admin = new Client({ ...database.connection, database: 'minimcp' });
    await admin.connect();
    for (let outage = 0; outage < 3; outage += 1) {
      await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;
      await Promise.all([spool.lines(50).then(() => ingest.poke(id, 1)), admin.query(cut)]);
      await spool.roll();
      await spool.lines(50);
      ingest.poke(id, 1);
      await expect.poll(() => ingest.lag().problem, { interval: 5 }).not.toBeNull();
      await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
      await expect.poll(() => ingest.lag().problem, { timeout: 10_000 }).toBeNull();
    }
    await admin.end();
    const rows = await untilStored(id, 400);
    expect(rows.map((row) => row.seq)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
  });
});

describe('partitions', () => {
  it('that are missing are made', async () => {
    const { id, spool } = await instanceAtWork();
    const old = Date.now() - 200 * 86_400_000;
    await spool.raw(lineText({ t: old, msg: 'old' }));
    await spool.lines(3);
    await ingest.start();
    await untilStored(id, 4);
  });

  it('that were detached are attached again, with what they hold', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.lines(3);
    await ingest.start();
    await untilStored(id, 3);
    const { db } = database;
    const [{ name } = { name: '' }] = await db.query<{ name: string }>(
      'SELECT tableoid::regclass::text AS name FROM mcp_logs LIMIT 1',
    );
    await db.query(`ALTER TABLE mcp_logs DETACH PARTITION ${name}`);
    expect(await db.query('SELECT 1 FROM mcp_logs')).toEqual([]);
    await spool.lines(2);
    ingest.poke(id, 1);
    await untilStored(id, 5);
    expect(await db.query('SELECT count(*) AS n FROM ONLY mcp_logs')).toEqual([{ n: 0 }]);
  });
});

describe('the fence', () => {
  it('stops a supervisor whose node was taken, without a line stored twice', async () => {
    const { id, spool } = await instanceAtWork();
    await spool.lines(20);
    await database.db.query('UPDATE nodes SET epoch = 2 WHERE id = $1', [fence.nodeId]);
    await ingest.start();
    await expect.poll(() => ingest.lag().problem).toMatch(/no longer held/);
    expect(await stored(id)).toEqual([]);
    const next = makeIngest({ ...fence, epoch: 2 });
    await next.start();
    await untilStored(id, 20);
    await next.stop();
  });

  it('keeps two who both believe to hold it from storing a line twice', async () => {
    const { id, spool } = await instanceAtWork();
    const other = makeIngest();
    await Promise.all([ingest.start(), other.start()]);
    for (let i = 0; i < 40; i += 1) {
      await spool.lines(25);
      ingest.poke(id, 1);
      other.poke(id, 1);
    }
    const rows = await untilStored(id, 1_000);
    await other.stop();
    expect(rows.map((row) => row.seq).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1_000 }, (_, i) => i + 1),
    );
  });
});
