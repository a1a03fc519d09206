import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createListener } from '../../src/db/listen.ts';
import type { Principal } from '../../src/db/pool.ts';
import {
  type LogFinds,
  type LogPlace,
  linesPerLook,
  pageLogs,
  scanLogs,
} from '../../src/db/queries/log-looks.ts';
import { type LogRow, logChannel } from '../../src/db/queries/logs.ts';
import { findLines } from '../../src/logs/find.ts';
import { createIngest, type Ingest } from '../../src/logs/ingest.ts';
import { createLogTail, type FollowOptions, type LogTail } from '../../src/logs/tail.ts';
import { silentLog } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addInstance, addNode, addUser } from '../support/rows.ts';
import { lineText, openTestSpool, type TestSpool } from '../support/spool.ts';

let database: TestDatabase;
let dataDir: string;
let ingest: Ingest;
let tail: LogTail;
let feed: ReturnType<typeof createListener>;
let principal: Principal;
let instanceId: string;
let spool: TestSpool;
const followers: AbortController[] = [];

beforeEach(async () => {
  [database, dataDir] = await Promise.all([testDatabase(), mkdtemp(join(tmpdir(), 'minimcp-tail-'))]);
  const nodeId = await addNode(database.db);
  const userId = await addUser(database.db);
  principal = { userId, role: 'user' };
  instanceId = await addInstance(database.db, { nodeId, userId });
  spool = await openTestSpool(dataDir, instanceId);
  ingest = createIngest({
    ...{ db: database.db, dataDir, nodeId, log: silentLog, lingerMs: 1 },
    fence: () => ({ nodeId, epoch: 1 }),
    isEnded: () => Promise.resolve(false),
    removeGeneration: () => Promise.resolve(),
  });
  feed = createListener({ connection: database.connection, channel: logChannel, onError: () => {} });
  tail = createLogTail({ db: database.db, feed });
  await Promise.all([ingest.start(), feed.start()]);
});

afterEach(async () => {
  for (const follower of followers.splice(0)) follower.abort();
  await Promise.all([ingest.stop(), feed.stop()]);
  await Promise.all([database.dispose(), rm(dataDir, { recursive: true, force: true })]);
});

async function write(count: number): Promise<void> {
  await spool.lines(count);
  ingest.poke(instanceId, 1);
}

async function stored(count: number): Promise<void> {
  const rows = () => database.db.query<{ n: number }>('SELECT count(*) AS n FROM mcp_logs');
  await expect.poll(async () => (await rows())[0]?.n, { timeout: 10_000, interval: 10 }).toBe(count);
}

/** Follows in the background; what it has seen grows. */
function follow(options: Partial<FollowOptions> = {}): { seen: LogRow[]; stop(): void } {
  const controller = new AbortController();
  followers.push(controller);
  const seen: LogRow[] = [];
  void (async () => {
    const rows = tail.follow({
      principal,
      afterId: null,
      filter: { instanceId },
      signal: controller.signal,
      ...options,
    });
    for await (const row of rows) seen.push(row);
  })().catch(() => {});
  return { seen, stop: () => controller.abort() };
}

const seqs = (rows: readonly LogRow[]): number[] => rows.map((row) => row.seq);
const upTo = (n: number, from = 1): number[] => Array.from({ length: n - from + 1 }, (_, i) => i + from);

describe('following a log', () => {
  it('gives every line once, in order, while they are being written', async () => {
    const since = new Date(Date.now() - 60_000);
    const all = [follow({ filter: { instanceId, since } }), follow({ filter: { instanceId, since } })];
    for (let i = 0; i < 40; i += 1) {
      await write(25);
      if (i === 15) all.push(follow({ filter: { instanceId, since } }));
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const one of all) {
      await expect.poll(() => one.seen.length, { timeout: 10_000, interval: 20 }).toBe(1_000);
      expect(seqs(one.seen)).toEqual(upTo(1_000));
    }
  });

  it('goes on after the last line seen, through any number of interruptions', async () => {
    const seen: LogRow[] = [];
    let writing = true;
    const writer = (async () => {
      for (let i = 0; i < 30; i += 1) {
        await write(20);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      writing = false;
    })();
    while (writing || seen.length < 600) {
      const since = new Date(Date.now() - 60_000);
      const one = follow({ afterId: seen.at(-1)?.id ?? null, filter: { instanceId, since } });
      await expect.poll(() => one.seen.length, { timeout: 10_000, interval: 5 }).toBeGreaterThan(0);
      one.stop();
      // What it had seen when it was cut off counts; the next one goes on from there.
      seen.push(...one.seen);
    }
    await writer;
    expect(seqs(seen)).toEqual(upTo(600));
  });

  it('begins now, when nothing else is asked', async () => {
    await write(10);
    await stored(10);
    const one = follow();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await write(5);
    await expect.poll(() => one.seen.length, { timeout: 20_000 }).toBe(5);
    expect(seqs(one.seen)).toEqual(upTo(15, 11));
  });

  it('also gives a line that waited on a disk and is older than what was seen', async () => {
    await write(3);
    await stored(3);
    const one = follow();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await spool.raw(lineText({ seq: 99, t: Date.now() - 3_600_000, msg: 'late' }));
    ingest.poke(instanceId, 1);
    await expect.poll(() => seqs(one.seen), { timeout: 20_000 }).toEqual([99]);
  });

  it('filters by level and source', async () => {
    const one = follow({ filter: { instanceId, level: 'warn', source: 'system' } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await spool.raw(
      ['info', 'warn', 'error', 'debug']
        .map((level, i) => lineText({ seq: i, level: level as 'info', source: 'system' }))
        .join(''),
    );
    await spool.raw(lineText({ seq: 9, level: 'error', source: 'process' }));
    ingest.poke(instanceId, 1);
    await expect.poll(() => seqs(one.seen), { timeout: 20_000 }).toEqual([1, 2]);
  });

  it('shows a stranger nothing', async () => {
    const stranger: Principal = { userId: await addUser(database.db), role: 'user' };
    const one = follow({ principal: stranger, filter: { instanceId, since: new Date(0) } });
    const own = follow({ filter: { instanceId, since: new Date(0) } });
    await write(5);
    await expect.poll(() => own.seen.length, { timeout: 20_000 }).toBe(5);
    expect(one.seen).toEqual([]);
  });

  it('survives the loss of its connection', async () => {
    const one = follow({ filter: { instanceId, since: new Date(0) } });
    await write(5);
    await expect.poll(() => one.seen.length, { timeout: 20_000 }).toBe(5);
    await database.db.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'minimcp listener' AND datname = current_database()`,
    );
    await write(5);
    await expect.poll(() => seqs(one.seen), { timeout: 20_000 }).toEqual(upTo(10));
  });
});

describe('reading a log', () => {
  it('by page, newest first or oldest first, meets every line once', async () => {
    await write(250);
    await stored(250);
    for (const [read, expected] of [
      [pageLogs, upTo(250).reverse()],
      [scanLogs, upTo(250)],
    ] as const) {
      const seen: LogRow[] = [];
      for (let after: LogPlace | null = null; ; ) {
        const found: LogFinds = await read(database.db, { instanceId, after, limit: 40 });
        seen.push(...found.rows);
        if (!found.more) break;
        after = found.seen;
      }
      expect(seqs(seen)).toEqual(expected);
    }
  });

  it('by time, level and source', async () => {
    const at = Date.now() - 10_000;
    await spool.raw(
      [0, 1_000, 2_000]
        .map((ms, i) => lineText({ seq: i, t: at + ms, level: i === 1 ? 'error' : 'debug' }))
        .join(''),
    );
    ingest.poke(instanceId, 1);
    await stored(3);
    const page = (filter: object) =>
      pageLogs(database.db, { instanceId, after: null, limit: 10, ...filter }).then(({ rows }) => seqs(rows));
    expect(await page({ since: new Date(at + 1_000) })).toEqual([2, 1]);
    expect(await page({ until: new Date(at + 1_000) })).toEqual([0]);
    expect(await page({ level: 'info' })).toEqual([1]);
    expect(await page({ source: 'api' })).toEqual([]);
  });

  it('by what a message holds, literally, upper and lower case alike', async () => {
    const messages = ['Größe 100%', 'groesse 100 x', 'a_b', 'axb', 'back\\slash', 'GRÖSSE', '(a|b)*'];
    await spool.raw(messages.map((msg, seq) => lineText({ seq, msg })).join(''));
    ingest.poke(instanceId, 1);
    await stored(messages.length);
    const having = async (contains: string): Promise<number[]> =>
      seqs((await scanLogs(database.db, { instanceId, after: null, limit: 10, contains })).rows);
    expect(await having('100%')).toEqual([0]);
    expect(await having('a_b')).toEqual([2]);
    expect(await having('\\')).toEqual([4]);
    expect(await having('(A|B)*')).toEqual([6]);
    expect(await having('grö')).toEqual([0, 5]);
    expect(await having('.*')).toEqual([]);
  });

  it('goes on after lines that do not match, look by look, and misses none', async () => {
    const lines = 2 * linesPerLook + 500;
    await database.db.query(
      `INSERT INTO mcp_logs (id, mcp_instance_id, timestamp, message, seq)
       SELECT ('0197fcf8-' || lpad(to_hex(n), 4, '0') || '-7000-8000-000000000000')::uuid, $1,
         now() - interval '1 minute' + n * interval '1 ms', CASE WHEN n % 7000 = 1 THEN 'needle ' ELSE 'hay ' END || n, n
       FROM generate_series(1, $2::int) AS n`,
      [instanceId, lines],
    );
    const needles = [1, 7_001, 14_001];
    const filter = { instanceId, contains: 'needle' };
    const first = await pageLogs(database.db, { ...filter, after: null, limit: 50 });
    expect([seqs(first.rows), first.more]).toEqual([[14_001], true]);
    const page = (limit: number, after: LogPlace | null = null, waits = true) =>
      findLines({
        ...{ after, limit, signal: waits ? new AbortController().signal : AbortSignal.abort() },
        look: (from, max) => pageLogs(database.db, { ...filter, after: from, limit: max }),
      });
    const all = await page(50);
    expect([seqs(all.rows), all.next]).toEqual([needles.toReversed(), null]);
    // A full page knows whether another follows; one that ran out of time says where it stopped.
    const two = await page(2);
    expect(seqs(two.rows)).toEqual([14_001, 7_001]);
    const rest = await page(2, two.next);
    expect([seqs(rest.rows), rest.next]).toEqual([[1], null]);
    const cut = await page(50, null, false);
    expect(seqs(cut.rows)).toEqual([14_001]);
    expect(seqs((await page(50, cut.next)).rows)).toEqual([7_001, 1]);
    // A follower passes over the same lines, and then gives what comes.
    const one = follow({ filter: { ...filter, since: new Date(0) } });
    await expect.poll(() => seqs(one.seen), { timeout: 10_000 }).toEqual(needles);
    await spool.raw(
      lineText({ seq: 99_999, msg: 'the last needle' }) + lineText({ seq: 100_000, msg: 'hay' }),
    );
    ingest.poke(instanceId, 1);
    await expect.poll(() => seqs(one.seen), { timeout: 10_000 }).toEqual([...needles, 99_999]);
  });
});
