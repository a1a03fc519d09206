import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migrateDown, migrateUp, migrationStatus } from '../../src/db/migrate.ts';
import { silentLog } from '../support/cluster.ts';
import { emptyDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await emptyDatabase();
});
afterEach(() => database.dispose());

const options = () => ({ connection: database.connection, log: silentLog });

/** Everything that was made, by kind and name, without what every database has. */
function inventory(): Promise<{ kind: string; name: string }[]> {
  return database.db.query(`
    SELECT 'relation' AS kind, relname::text || ' ' || relkind::text || ' ' || relrowsecurity || ' ' || relforcerowsecurity AS name
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^pgmigrations'
    UNION ALL SELECT 'column', attrelid::regclass || '.' || attname || ' ' || atttypid::regtype || ' ' || attnotnull
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
      WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped AND relname !~ '^pgmigrations'
    UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ '^pgmigrations'
    UNION ALL SELECT 'grant', relname || ' ' || grantee::regrole || ' ' || privilege_type
      FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'public'::regnamespace AND grantee <> relowner
    UNION ALL SELECT 'column grant', attrelid::regclass || '.' || attname || ' ' || grantee::regrole || ' ' || privilege_type
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid, aclexplode(attacl) WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'policy', polrelid::regclass || ' ' || polname FROM pg_policy
    ORDER BY 1, 2`);
}

describe('migrations', () => {
  it('go up, all the way down without a trace, and up again to the same', async () => {
    const names = await migrateUp(options());
    expect(names.length).toBeGreaterThan(2);
    const first = await inventory();
    expect((await migrationStatus(options())).pending).toEqual([]);
    expect(await migrateDown({ ...options(), count: names.length })).toEqual([...names].reverse());
    expect(await inventory()).toEqual([]);
    expect(await migrateUp(options())).toEqual(names);
    expect(await inventory()).toEqual(first);
  });

  it('can each be taken back alone', async () => {
    const names = await migrateUp(options());
    const whole = await inventory();
    for (let count = 1; count <= names.length; count += 1) {
      await migrateDown({ ...options(), count });
      expect(await migrateUp(options())).toHaveLength(count);
      expect(await inventory()).toEqual(whole);
    }
  });

  it('wait for one another when several begin at once', async () => {
    const all = await Promise.all([migrateUp(options()), migrateUp(options()), migrateUp(options())]);
    expect(all.filter((names) => names.length > 0)).toHaveLength(1);
    expect(await migrateUp(options())).toEqual([]);
  });

  it('are refused when the database is newer than the code', async () => {
    await migrateUp(options());
    await database.db.query(`INSERT INTO pgmigrations (name, run_on) VALUES ('999_from-the-future', now())`);
    expect((await migrationStatus(options())).unknown).toEqual(['999_from-the-future']);
    for (const attempt of [() => migrateUp(options()), () => migrateDown({ ...options(), count: 1 })]) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'config_invalid',
        message: expect.stringContaining('newer MiniMCP (999_from-the-future)'),
      });
    }
  });
});
