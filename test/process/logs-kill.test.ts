// Killed −9 again and again while lines are being written, the ingester stores each line exactly once.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addInstance, addNode } from '../support/rows.ts';
import { root } from '../support/source.ts';
import { openTestSpool } from '../support/spool.ts';

let database: TestDatabase;
let dataDir: string;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  [database, dataDir] = await Promise.all([testDatabase(), mkdtemp(join(tmpdir(), 'minimcp-kill-'))]);
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all([database.dispose(), rm(dataDir, { recursive: true, force: true })]);
});

async function startIngester(task: Record<string, unknown>): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(root, 'test/fixtures/ingester.ts'), JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  children.delete(child);
}

it('stores every line exactly once, in order, however often it is killed, two at a time as well', async () => {
  const nodeId = await addNode(database.db);
  const ids = [];
  for (let i = 0; i < 3; i += 1) ids.push(await addInstance(database.db, { nodeId }));
  await database.db.query(
    `UPDATE mcp_instances SET status = 'running', assigned_port = 3001 + (random() * 60000)::int`,
  );
  const spools = await Promise.all(ids.map((id) => openTestSpool(dataDir, id)));
  const task = { connection: database.connection, dataDir, nodeId, generations: ids.map((id) => [id, 1]) };

  let written = 0;
  let writing = true;
  const writer = (async () => {
    while (writing) {
      await Promise.all(spools.map((spool) => spool.lines(50)));
      written += 50;
      if (written % 1_000 === 0) await Promise.all(spools.map((spool) => spool.roll()));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  for (let round = 0; round < 6; round += 1) {
    const pair = await Promise.all([startIngester(task), ...(round % 3 === 2 ? [startIngester(task)] : [])]);
    // Somewhere in the middle of its work, a different middle each time.
    await new Promise((resolve) => setTimeout(resolve, 40 + round * 35));
    await Promise.all(pair.map(kill));
  }
  writing = false;
  await writer;

  const last = await startIngester(task);
  const count = async (): Promise<number> =>
    (await database.db.query<{ n: number }>('SELECT count(*) AS n FROM mcp_logs'))[0]?.n ?? 0;
  await expect.poll(count, { timeout: 20_000, interval: 50 }).toBe(written * ids.length);
  await kill(last);
  for (const id of ids) {
    const rows = await database.db.query<{ seq: number }>(
      'SELECT seq FROM mcp_logs WHERE mcp_instance_id = $1 ORDER BY id',
      [id],
    );
    expect(rows.map((row) => row.seq)).toEqual(Array.from({ length: written }, (_, i) => i + 1));
    expect((await readdir(join(dataDir, 'instances', id, '1/spool'))).length).toBeLessThan(4);
  }
});
