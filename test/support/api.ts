// The control API over HTTP on a real database, with the rooms below it as they are. No process is started: instances
// stay pending until a test raises the event that a shim would have raised.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { createAccounts } from '../../src/accounts/accounts.ts';
import { createSettings } from '../../src/accounts/settings.ts';
import type { ApiLimits, Health } from '../../src/api/context.ts';
import { createApi } from '../../src/api/server.ts';
import { newToken } from '../../src/base/tokens.ts';
import { createCatalog } from '../../src/catalog/catalog.ts';
import type { PackageStore } from '../../src/catalog/package-store.ts';
import type { TryType } from '../../src/catalog/trial.ts';
import { createListener } from '../../src/db/listen.ts';
import { logChannel } from '../../src/db/queries/logs.ts';
import { seedPorts } from '../../src/db/queries/ports.ts';
import { waitingTrial } from '../../src/domain/server-type.ts';
import { type Apply, createApply } from '../../src/instances/apply.ts';
import { createChanges } from '../../src/instances/changes.ts';
import { createManager } from '../../src/instances/manager.ts';
import { createLogTail } from '../../src/logs/tail.ts';
import { createAllocator } from '../../src/ports/allocator.ts';
import { openKeyring } from '../../src/secrets/keyring.ts';
import { createVault } from '../../src/secrets/vault.ts';
import { silentLog } from './cluster.ts';
import { type TestDatabase, testDatabase } from './database.ts';
import { addNode } from './rows.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what each test is about
  readonly json: any;
}

export interface Send {
  readonly token?: string | undefined;
  readonly body?: unknown;
  /** Sent as it is, in place of `body`. */
  readonly raw?: string | Buffer;
  readonly headers?: Record<string, string>;
}

export interface ApiHouse extends AsyncDisposable {
  readonly url: string;
  readonly database: TestDatabase;
  readonly adminToken: string;
  readonly nodeId: string;
  /** Where the API looks for the dashboard's files; not there at first. */
  readonly pageDir: string;
  readonly range: { readonly from: number; readonly to: number };
  readonly apply: Apply;
  readonly drains: () => number;
  readonly setHealth: (health: Health) => void;
  /** A request; the path starts at the root. As the admin unless another token, or none (''), is given. */
  send(method: string, path: string, options?: Send): Promise<Answer>;
  /** A user with an API token of their own. */
  user(name?: string, token?: Record<string, unknown>): Promise<{ id: string; token: string }>;
  /** What the hourly housekeeping does for accounts. */
  sweep(): Promise<number>;
  /** Does what a shim's news would: the instance is ready. */
  ready(id: string): Promise<void>;
}

let next = 0;

export interface ApiHouseOptions {
  readonly limits?: Partial<ApiLimits>;
  readonly ports?: number;
  /** Instead of a fresh one of its own; disposed of with the house. */
  readonly database?: TestDatabase;
}

export async function openApi(options: ApiHouseOptions = {}): Promise<ApiHouse> {
  const [database, dir] = await Promise.all([
    options.database ?? testDatabase(),
    mkdtemp(join(tmpdir(), 'minimcp-api-')),
  ]);
  const { db, connection } = database;
  const nodeId = await addNode(db);
  const from = 10_000 + ((process.pid + next++) % 100) * 100;
  const range = { from, to: from + (options.ports ?? 20) - 1 };
  await seedPorts(db, nodeId, range.from, range.to);

  const settings = createSettings(db);
  const keyring = await openKeyring({ db, file: join(dir, 'master-keys.json'), log: silentLog });
  const vault = createVault({ db, keyring });
  const catalog = createCatalog({ db, dir, store: packages, tryType: triedUnseen, log: silentLog });
  const changes = createChanges();
  const shared = {
    db,
    fence: () => ({ nodeId, epoch: 1 }),
    nodeId,
    allocator: createAllocator({ db, nodeId, host: '127.0.0.1', range: async () => range }),
    urlOf: (port: number) => `http://127.0.0.1:${port}/mcp`,
  };
  const maxInstancesPerUser = () => settings.get('mcp.max_instances_per_user');
  const apply = createApply({ ...shared, maxInstancesPerUser });
  const manager = createManager({
    ...shared,
    apply,
    changes,
    effects: {
      follow: ({ row }) => changes.announce(row.id),
      ended: () => {},
      replaceToken: async () => {},
      admit: async () => undefined,
      handOverKey: () => Promise.reject(new Error('nothing runs here')),
      busy: () => false,
      stop: async () => {},
    },
    settings: {
      defaultMinutes: () => settings.get('mcp.default_duration_minutes'),
      maxInstancesPerUser,
      maxLeaseMinutes: () => settings.get('mcp.max_lease_minutes'),
      maxCreationsPerHour: () => settings.get('mcp.max_creations_per_hour'),
    },
    catalog,
    findKey: async (userId, typeId) => (await vault.open(userId, typeId))?.id ?? null,
    queuePosition: () => null,
    admit: () => {},
  });
  const accounts = createAccounts({ db, log: silentLog, manager });
  const adminToken = newToken('mmt_');
  await accounts.bootstrapAdmin(adminToken);
  const listener = createListener({ connection, channel: 'minimcp_changes', onError: () => {} });
  const logFeed = createListener({ connection, channel: logChannel, onError: () => {} });
  await Promise.all([listener.start(), logFeed.start()]);
  let health: Health = { ready: true, checks: { database: 'ok' } };
  let drains = 0;
  const api = await createApi({
    ...{ db, manager, accounts, settings, vault, keyring, catalog, changes: listener },
    logs: createLogTail({ db, feed: logFeed }),
    health: async () => health,
    requestDrain: async () => {
      drains += 1;
    },
    registry: new Registry(),
    logFigures: () => ({ spools: 0, stored: 0, storedBytes: 0, dropped: 0, lagMs: 0 }),
    inside: () => ({
      isolation: { level: 'L2', missing: [{ level: 'L3', meaning: 'a network', reason: 'no' }] },
      admission: { running: 0, waiting: 0 },
      ...{ logProblem: null, keyProblem: null },
    }),
    pageDir: join(dir, 'dashboard'),
    node: { id: nodeId, version: '0.0.0' },
    log: silentLog,
    limits: options.limits,
  });
  const url = await api.listen({ host: '127.0.0.1', port: 0 });

  const send = async (method: string, path: string, wish: Send = {}): Promise<Answer> => {
    const token = wish.token ?? adminToken;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(wish.body === undefined && wish.raw === undefined ? {} : { 'content-type': 'application/json' }),
        ...wish.headers,
      },
      ...(wish.raw !== undefined
        ? { body: wish.raw }
        : wish.body === undefined
          ? {}
          : { body: JSON.stringify(wish.body) }),
    });
    const text = await response.text();
    const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '') && text !== '';
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  };

  return {
    pageDir: join(dir, 'dashboard'),
    ...{ url, database, adminToken, nodeId, range, apply, send },
    drains: () => drains,
    sweep: () => accounts.sweep(),
    setHealth: (wanted) => {
      health = wanted;
    },
    async user(name = `u${next++}`, token = {}) {
      const made = await send('POST', '/api/v1/users', { body: { email: `${name}@example.com`, name } });
      const id: string = made.json.data.id;
      const answer = await send('POST', '/api/v1/tokens', { body: { name: 'test', user_id: id, ...token } });
      return { id, token: answer.json.data.api_token };
    },
    async ready(id) {
      const { row } = await apply(id, { event: 'ready' });
      changes.announce(row.id);
    },
    async [Symbol.asyncDispose]() {
      await api.close();
      await Promise.all([listener.stop(), logFeed.stop()]);
      await database.dispose();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** No process is started, so no package is needed; one is missing, to be refused. */
export const missingPackage = 'a-missing-package';
const packages: PackageStore = {
  resolve: async (type) => ({
    dir: '/nowhere',
    script: 'index.js',
    program: type.server_script || 'index.js',
  }),
  facts: async (name, version) => ({
    ...{ name, version, license: 'MIT', description: null, mcpName: null },
    integrity: 'sha512-of-nothing',
  }),
  has: async (type) => type.package_name !== missingPackage,
};

const triedUnseen: TryType = async () => ({
  trial: { ...waitingTrial, state: 'skipped', problem: 'nothing is started here' },
  era: undefined,
});
