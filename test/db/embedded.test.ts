import { expect, test } from 'vitest';
import { testDatabase } from '../support/database.ts';

test('a test gets a migrated database of its own', async () => {
  const a = await testDatabase();
  const b = await testDatabase();
  expect(a.connection.database).not.toBe(b.connection.database);
  expect(await a.db.query('SELECT count(*) FROM users')).toEqual([{ count: 0 }]);
  await a.dispose();
  await b.dispose();
});
