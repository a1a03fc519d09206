// The API without a database behind it: enough to look at its routes and at what it refuses before it asks anyone.
import { Registry } from 'prom-client';
import { createAccounts } from '../../src/accounts/accounts.ts';
import { createSettings } from '../../src/accounts/settings.ts';
import { type Api, createApi } from '../../src/api/server.ts';
import { openDb } from '../../src/db/pool.ts';
import { silentLog } from './cluster.ts';

/** Nothing listens where its database should be: whatever needs one is answered with 503. */
export async function offlineApi(registry = new Registry()): Promise<Api> {
  const db = openDb({
    connection: { host: '/nonexistent', user: 'nobody', database: 'none' },
    connectionsMax: 2,
    acquireTimeoutMs: 500,
    statementTimeoutMs: 1_000,
    onError: () => {},
  });
  const away = () => Promise.reject(new Error('not here'));
  const manager = {
    ...{ create: away, stop: away, restart: away, restore: away, renew: away, extend: away },
    ...{
      remove: away,
      newToken: away,
      replaceKey: away,
      visit: away,
      queuePosition: () => null,
      settled: away,
    },
  };
  return createApi({
    db,
    manager,
    accounts: createAccounts({ db, log: silentLog, manager }),
    settings: createSettings(db),
    vault: { put: away, list: away, remove: away, rotate: away },
    keyring: { add: away, retire: away },
    catalog: {
      ...{ get: away, list: away, add: away, addFromOutside: away, patch: away, retry: away },
      ...{ tried: away, remove: away, available: () => true },
    },
    logs: {
      follow: async function* () {},
    },
    changes: { subscribe: () => () => {} },
    health: async () => ({ ready: false, checks: { database: 'the database does not answer' } }),
    requestDrain: async () => {},
    registry,
    logFigures: () => ({ spools: 0, stored: 0, storedBytes: 0, dropped: 0, lagMs: 0 }),
    inside: () => ({
      isolation: { level: 'L0', missing: [] },
      admission: { running: 0, waiting: 0 },
      ...{ logProblem: null, keyProblem: null },
    }),
    pageDir: '/nonexistent',
    node: { id: 'nowhere', version: '0.0.0' },
    log: silentLog,
  });
}
