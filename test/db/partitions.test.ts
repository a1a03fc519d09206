import { afterEach, beforeEach, expect, it } from 'vitest';
import { dropPartitionsBehind, ensurePartition, listPartitions } from '../../src/db/queries/partitions.ts';
import { dropOldPartitions, ensurePartitionsAhead } from '../../src/logs/partitions.ts';
import { silentLog } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addInstance } from '../support/rows.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await testDatabase();
});
afterEach(() => database.dispose());

it('are there for this month and the next three, and asking again changes nothing', async () => {
  const { db } = database;
  await ensurePartitionsAhead({ db, log: silentLog });
  for (const parent of ['mcp_logs', 'mcp_events'] as const) {
    const partitions = await listPartitions(db, parent);
    expect(partitions).toHaveLength(4);
    const now = new Date();
    const end = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 4, 1);
    expect(partitions.at(-1)?.until.getTime()).toBe(end);
  }
  const before = await listPartitions(db, 'mcp_logs');
  await Promise.all([
    ensurePartitionsAhead({ db, log: silentLog }),
    ensurePartitionsAhead({ db, log: silentLog }),
  ]);
  expect(await listPartitions(db, 'mcp_logs')).toEqual(before);
});

it('carry the indexes and the foreign keys of their parent, at the edges of years and leap days too', async () => {
  const { db } = database;
  for (const [at, step, until] of [
    ['2027-12-31T23:59:59.999Z', 'month', '2028-01-01T00:00:00Z'],
    ['2028-02-29T12:00:00Z', 'day', '2028-03-01T00:00:00Z'],
  ] as const) {
    const name = await ensurePartition(db, 'mcp_logs', new Date(at), step);
    const made = (await listPartitions(db, 'mcp_logs')).find((partition) => partition.name === name);
    expect(made?.until).toEqual(new Date(until));
    const [counts] = await db.query(
      `SELECT (SELECT count(*) FROM pg_index WHERE indrelid = $1::regclass) AS indexes,
         (SELECT count(*) FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'f') AS keys`,
      [name],
    );
    expect(counts).toEqual({ indexes: 4, keys: 1 });
  }
});

it('are dropped when all of them is older than the retention, and not before', async () => {
  const { db } = database;
  const monthsAgo = (months: number): Date => {
    const now = new Date();
    return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - months, 1));
  };
  const [old, recent, oldEvents] = [
    await ensurePartition(db, 'mcp_logs', monthsAgo(4), 'month'),
    await ensurePartition(db, 'mcp_logs', monthsAgo(1), 'month'),
    await ensurePartition(db, 'mcp_events', monthsAgo(4), 'month'),
  ];
  const instanceId = await addInstance(db);
  await db.query('INSERT INTO mcp_logs (mcp_instance_id, timestamp, message) VALUES ($1, $2, $3)', [
    instanceId,
    monthsAgo(4),
    'old',
  ]);
  expect(await dropOldPartitions({ db, log: silentLog }, 31)).toEqual([old]);
  const left = [...(await listPartitions(db, 'mcp_logs')), ...(await listPartitions(db, 'mcp_events'))];
  expect(left.map((partition) => partition.name)).toEqual(expect.arrayContaining([recent, oldEvents]));
  expect(await db.query('SELECT 1 FROM mcp_logs')).toEqual([]);
});

it('that somebody reads are dropped later, and nobody waits behind the attempt', async () => {
  const { db } = database;
  const name = await ensurePartition(db, 'mcp_logs', new Date('2020-01-15'), 'month');
  const instanceId = await addInstance(db);
  await db.tx(async (tx) => {
    await tx.query('SELECT count(*) FROM mcp_logs');
    // Waited for at once: it may give up before the line below is through.
    const refused = expect(dropPartitionsBehind(db, 'mcp_logs', 30)).rejects.toMatchObject({ code: '55P03' });
    // Queued behind the attempt, and let through when it gives up.
    await db.query('INSERT INTO mcp_logs (mcp_instance_id, message) VALUES ($1, $2)', [instanceId, 'x']);
    await refused;
  });
  expect(await dropPartitionsBehind(db, 'mcp_logs', 30)).toEqual([name]);
});

it('can be made while somebody reads and writes the parent', async () => {
  const { db } = database;
  const instanceId = await addInstance(db);
  await db.tx(async (tx) => {
    await tx.query('SELECT count(*) FROM mcp_logs');
    await tx.query('INSERT INTO mcp_logs (mcp_instance_id, message) VALUES ($1, $2)', [instanceId, 'x']);
    expect(await ensurePartition(db, 'mcp_logs', new Date('2033-03-03'), 'month')).toBe('mcp_logs_p203303');
  });
});
