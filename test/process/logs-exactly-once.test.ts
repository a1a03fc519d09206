// Promise P4 through the whole house: 200,000 numbered lines full of what breaks pipelines, three kills −9 of the
// supervisor and a database that goes away in between: each line is stored exactly once, or a marker names it.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { openPgProxy, type PgProxy } from '../support/pg-proxy.ts';
import { addProgramType } from '../support/types.ts';

const lines = 200_000;
let database: TestDatabase;
let proxy: PgProxy;
let daemon: Daemon;

beforeAll(async () => {
  database = await testDatabase();
  proxy = await openPgProxy(database.connection);
  daemon = await startDaemon({ databaseUrl: proxy.url });
});
afterAll(async () => {
  await daemon.dispose();
  await proxy.close();
  await database.dispose();
});

/** Answers the handshake, then writes its lines as fast as they are taken. Every tenth is spoilt in its own way. */
const chatty = `
  const answer = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
  const spoilt = [Buffer.from([0]), Buffer.from([0xff, 0xfe]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('\\x1b[31mred\\x1b[0m'), Buffer.from('\\\\u0000 \\t "')];
  let number = 0;
  const write = () => {
    const chunk = [];
    for (let at = 0; at < 500 && number < ${lines}; at += 1) {
      number += 1;
      chunk.push(Buffer.from('line ' + number + ' '));
      if (number % 10 === 0) chunk.push(spoilt[(number / 10) % spoilt.length]);
      chunk.push(Buffer.from('\\n'));
    }
    if (chunk.length > 0) process.stderr.write(Buffer.concat(chunk), () => setTimeout(write, 5));
  };
  process.stdin.on('data', (data) => {
    for (const line of String(data).split('\\n').filter(Boolean)) {
      const { id, method } = JSON.parse(line);
      if (method === 'initialize') answer(id, { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'chatty', version: '1' } });
      else if (id !== undefined) answer(id, {});
      if (method === 'notifications/initialized') write();
    }
  });`;

interface Tally {
  readonly stored: number;
  readonly distinct: number;
  readonly dropped: number;
  readonly out_of_order: number;
}

const tally = async (id: string): Promise<Tally | undefined> =>
  (
    await database.db.query<Tally>(
      `WITH numbered AS (
         SELECT id, seq, substring(message FROM '^line (\\d+)')::int AS number FROM mcp_logs
         WHERE mcp_instance_id = $1 AND source = 'process' AND message ~ '^line \\d+'
       )
       SELECT count(*) AS stored, count(DISTINCT number) AS distinct,
         (SELECT coalesce(sum((metadata->>'dropped')::int), 0) FROM mcp_logs
          WHERE mcp_instance_id = $1 AND metadata ? 'dropped') AS dropped,
         (SELECT count(*) FROM (SELECT number, lag(number) OVER (ORDER BY seq) AS before FROM numbered) AS pairs
          WHERE before >= number) AS out_of_order
       FROM numbered`,
      [id],
    )
  )[0];

it('stores every line once and in order, or names it in a marker', async () => {
  await addProgramType(daemon, 'chatty', chatty);
  const instance = await daemon.create({ mcp_type: 'chatty', duration_minutes: 30 });
  for (const share of [0.1, 0.3, 0.5]) {
    await expect
      .poll(async () => (await tally(instance.id))?.stored ?? 0, { timeout: 60_000, interval: 200 })
      .toBeGreaterThan(lines * share);
    await daemon.kill9();
    await daemon.start();
  }
  proxy.cut();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  proxy.reopen();
  await expect
    .poll(
      async () => {
        const now = await tally(instance.id);
        return Number(now?.stored) + Number(now?.dropped);
      },
      { timeout: 120_000, interval: 500 },
    )
    .toBeGreaterThanOrEqual(lines);
  const end = await tally(instance.id);
  expect(end?.distinct).toBe(end?.stored);
  expect(Number(end?.stored) + Number(end?.dropped)).toBe(lines);
  expect(end?.out_of_order).toBe(0);
}, 240_000);
