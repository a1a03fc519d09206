import { appendFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createIngest, type Ingest } from '../../src/logs/ingest.ts';
import { createNodeSpool } from '../../src/logs/node-spool.ts';
import { silentLog } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addInstance, addNode } from '../support/rows.ts';
import { lineText, openTestSpool } from '../support/spool.ts';

let database: TestDatabase;
let dataDir: string;
let nodeId: string;
let ingest: Ingest;

beforeEach(async () => {
  [database, dataDir] = await Promise.all([testDatabase(), mkdtemp(join(tmpdir(), 'minimcp-node-'))]);
  nodeId = await addNode(database.db);
  ingest = createIngest({
    ...{ db: database.db, dataDir, nodeId, log: silentLog, lingerMs: 1 },
    fence: () => ({ nodeId, epoch: 1 }),
    isEnded: () => Promise.resolve(false),
    removeGeneration: () => Promise.resolve(),
  });
});
afterEach(async () => {
  await ingest.stop();
  await Promise.all([database.dispose(), rm(dataDir, { recursive: true, force: true })]);
});

const spoolDir = (): string => join(dataDir, 'node-spool');

function messages(instanceId: string): Promise<string[]> {
  return database.db
    .query<{ message: string }>('SELECT message FROM mcp_logs WHERE mcp_instance_id = $1 ORDER BY id', [
      instanceId,
    ])
    .then((rows) => rows.map((row) => row.message));
}

describe("the supervisor's words", () => {
  it('reach the log of the instance they are about', async () => {
    const [a, b] = [await addInstance(database.db, { nodeId }), await addInstance(database.db, { nodeId })];
    await ingest.start();
    const spool = createNodeSpool(dataDir, { onWritten: () => ingest.pokeNode() });
    spool.say(a, 'info', 'starting');
    spool.say(b, 'warn', 'ended', { reason: 'user' });
    spool.say(a, 'info', 'running');
    await expect.poll(() => messages(a), { timeout: 20_000 }).toEqual(['starting', 'running']);
    expect(
      await database.db.query(
        'SELECT level, source, seq, metadata FROM mcp_logs WHERE mcp_instance_id = $1',
        [b],
      ),
    ).toEqual([{ level: 'warn', source: 'system', seq: 0, metadata: { reason: 'user' } }]);
    spool.close();
  });

  it('of a supervisor that was killed in the middle of a word are told by the next one, exactly once', async () => {
    const id = await addInstance(database.db, { nodeId });
    createNodeSpool(dataDir).say(id, 'info', 'before');
    const [segment = ''] = await readdir(spoolDir());
    await appendFile(join(spoolDir(), segment), '{"seq":0,"t":1');
    const next = createNodeSpool(dataDir);
    next.say(id, 'info', 'after');
    await ingest.start();
    await expect.poll(() => messages(id), { timeout: 20_000 }).toEqual(['before', 'after']);
    await expect.poll(() => readdir(spoolDir())).toHaveLength(1);
    next.close();
    createNodeSpool(dataDir).say(id, 'info', 'later');
    ingest.pokeNode();
    await expect.poll(() => messages(id), { timeout: 20_000 }).toEqual(['before', 'after', 'later']);
  });

  it('are dropped and counted when there is no room', async () => {
    const id = await addInstance(database.db, { nodeId });
    const spool = createNodeSpool(dataDir, { segmentBytes: 500, spoolBytesMax: 1_000 });
    for (let i = 0; i < 50; i += 1) spool.say(id, 'info', `word ${i}`);
    const kept = (
      await Promise.all((await readdir(spoolDir())).map((name) => readFile(join(spoolDir(), name), 'utf8')))
    ).join('');
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(1_000);
    const count = kept.trim().split('\n').length;
    await ingest.start();
    await expect.poll(async () => (await messages(id)).length, { timeout: 20_000 }).toBe(count);
    await expect.poll(() => readdir(spoolDir()), { timeout: 20_000 }).toHaveLength(1);
    spool.say(id, 'info', 'room again');
    ingest.pokeNode();
    await expect
      .poll(async () => (await messages(id)).slice(-2), { timeout: 20_000 })
      .toEqual(['room again', `${50 - count} messages were dropped: no room`]);
  });
});

describe('a hostile spool', () => {
  it('leads nowhere: links, pipes and directories in its place are as if they were not there', async () => {
    const [victim, thief] = [
      await addInstance(database.db, { nodeId }),
      await addInstance(database.db, { nodeId }),
    ];
    await database.db.query(
      `UPDATE mcp_instances SET status = 'running', assigned_port = 3001 + (random() * 60000)::int`,
    );
    const [own, foreign] = [await openTestSpool(dataDir, thief), await openTestSpool(dataDir, victim, 7)];
    await foreign.lines(3);
    await symlink(join(foreign.dir, '0000000001.ndjson'), join(own.dir, '0000000001.ndjson'));
    await symlink('/etc/passwd', join(own.dir, '0000000002.ndjson'));
    await rm(foreign.dir, { recursive: true });
    await writeFile(join(dataDir, 'elsewhere'), lineText({ msg: 'stolen' }));
    await symlink(dataDir, foreign.dir);
    const other = await openTestSpool(dataDir, thief, 2);
    await other.lines(1);
    await ingest.start();
    await expect.poll(() => messages(thief), { timeout: 20_000 }).toEqual(['line 1']);
    expect(await messages(victim)).toEqual([]);
    expect(await readFile('/etc/passwd', 'utf8')).toContain('root');
  });
});
