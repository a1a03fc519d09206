// The catalogue against a real database: shipped types arrive, what an admin changed stays, bad documents are refused.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.ts';
import { type Catalog, createCatalog } from '../../src/catalog/catalog.ts';
import { createPackageStore } from '../../src/catalog/package-store.ts';
import { silentLog } from '../support/cluster.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { root } from '../support/source.ts';

const admin = { userId: null, ip: '127.0.0.1', userAgent: 'test' };
let database: TestDatabase;
let dataDir: string;
let catalog: Catalog;

beforeAll(async () => {
  database = await testDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'minimcp-catalog-'));
  const store = createPackageStore({ dataDir, log: silentLog, npmTimeoutMs: 1 });
  const tryType = () => Promise.reject(new Error('nothing is started here'));
  catalog = createCatalog({
    ...{ db: database.db, dir: join(root, 'mcp-servers'), store, tryType, log: silentLog },
  });
});
afterAll(async () => {
  await catalog.settled();
  await database.dispose();
  await rm(dataDir, { recursive: true, force: true });
});

it('holds the shipped types after a sync, each available', async () => {
  await catalog.sync();
  const types = await catalog.list();
  expect(types.map(({ name, origin }) => [name, origin])).toEqual(
    ['everything', 'filesystem', 'github', 'memory'].map((name) => [name, 'shipped']),
  );
  for (const type of types) expect(await catalog.available(type), type.name).toBe(true);
  const [everything] = types;
  expect(await catalog.get('everything')).toEqual(everything);
  expect(await catalog.getById(everything?.id ?? '')).toEqual(everything);
});

it('keeps what an admin changed through the next sync', async () => {
  await catalog.patch('github', { is_active: false, max_duration_minutes: 7 }, admin);
  await catalog.patch('github', { description: 'ours' }, admin);
  await catalog.sync();
  expect(await catalog.get('github')).toMatchObject({
    is_active: false,
    max_duration_minutes: 7,
    description: 'ours',
    display_name: 'GitHub',
  });
  const events = await database.db.query<{ event_data: { before: unknown; after: unknown } }>(
    `SELECT event_data FROM mcp_events WHERE event_type = 'type_changed' ORDER BY created_at`,
  );
  expect(events[0]?.event_data).toMatchObject({
    before: { is_active: true, max_duration_minutes: 480 },
    after: { is_active: false, max_duration_minutes: 7 },
  });
});

it('keeps the verdict on an era with the version it is about', async () => {
  const memory = await catalog.get('memory');
  if (memory === undefined) throw new Error('memory is shipped');
  await catalog.setEra(memory, 'dual');
  expect(await catalog.get('memory')).toMatchObject({ era: 'dual' });
  await catalog.setEra({ ...memory, package_version: '0.0.1' }, 'modern');
  expect(await catalog.get('memory')).toMatchObject({ era: 'dual' });
});

it('adds a type of an admin, finds its program, and refuses the same name twice', async () => {
  const document = {
    name: 'io.github.upstash/context7',
    description: 'Documentation',
    version: '4.1.1',
    packages: [
      {
        registryType: 'npm',
        identifier: '@upstash/context7-mcp',
        version: '4.1.1',
        transport: { type: 'stdio' },
      },
    ],
  };
  const added = await catalog.add(document, admin);
  expect(added).toMatchObject({ name: 'context7', origin: 'admin', egress: 'none', server_script: '' });
  await catalog.settled();
  expect((await catalog.get('context7'))?.server_script).toMatch(/\.js$/);
  await expect(catalog.add(document, admin)).rejects.toMatchObject({ code: 'name_taken' });
  await expect(catalog.patch('nothing', {}, admin)).rejects.toMatchObject({ code: 'unknown_type' });
});

it('keeps a type whose package is missing, and says so', async () => {
  const missing = {
    name: 'com.example/missing',
    packages: [
      {
        registryType: 'npm',
        identifier: 'minimcp-no-such-package',
        version: '1.0.0',
        transport: { type: 'stdio' },
      },
    ],
  };
  const type = await catalog.add(missing, admin);
  await catalog.settled();
  expect(await catalog.available(type)).toBe(false);
});

it('refuses a document with a pointer for each fault', async () => {
  const error = await catalog
    .add(
      { name: 'no-slash', packages: [{ registryType: 'pypi', identifier: 'x', version: 'latest' }] },
      admin,
    )
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Fault);
  expect((error as Fault).code).toBe('invalid_field');
  expect((error as Fault).errors.map(({ pointer }) => pointer)).toEqual(
    expect.arrayContaining([
      '/name',
      '/packages/0/registryType',
      '/packages/0/version',
      '/packages/0/transport',
    ]),
  );
});
