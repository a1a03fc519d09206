// What the pool makes of what PostgreSQL gives up: a statement that takes too long, and a deadlock, which is tried again.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDb } from '../../src/db/pool.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addUser } from '../support/rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.dispose());

it('says of a statement that took too long that it may be tried again', async () => {
  const { connection } = database;
  const timing = { connectionsMax: 1, acquireTimeoutMs: 5_000, statementTimeoutMs: 50 };
  const db = openDb({ connection, ...timing, onError: () => {} });
  await expect(db.query('SELECT pg_sleep(5)')).rejects.toMatchObject({
    code: 'database_unavailable',
    status: 503,
    retryAfterS: 1,
  });
  await expect(db.tx((tx) => tx.query('SELECT pg_sleep(5)'))).rejects.toMatchObject({ status: 503 });
  expect(await db.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await db.close();
});

it('runs a transaction again that PostgreSQL gave up to end a deadlock', async () => {
  const { db } = database;
  const [one, two] = [await addUser(db), await addUser(db)];
  let runs = 0;
  let both = (): void => {};
  const bothHold = new Promise<void>((resolve) => {
    both = resolve;
  });
  let holding = 0;
  const cross = (first: string, second: string): Promise<void> =>
    db.tx(async (tx) => {
      runs += 1;
      const rename = (id: string) => tx.query(`UPDATE users SET name = name || '.' WHERE id = $1`, [id]);
      await rename(first);
      holding += 1;
      if (holding === 2) both();
      await bothHold;
      await rename(second);
    });
  await Promise.all([cross(one, two), cross(two, one)]);
  // Who tries again can be the victim again.
  expect(runs).toBeGreaterThanOrEqual(3);
  const names = await db.query<{ name: string }>('SELECT name FROM users WHERE id = ANY($1)', [[one, two]]);
  expect(names.map(({ name }) => name)).toEqual(['someone..', 'someone..']);
});
