// The API for a bench, in a process of its own: its routes and rooms as they are, on an embedded PostgreSQL, with no
// instance ever started and rates nobody reaches. Says where it is, and ends with its parent.
import { pino } from 'pino';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { openDb } from '../../src/db/pool.ts';
import { openApi } from '../../test/support/api.ts';
import type { ApiPlace } from './place.ts';

const [dataDir = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const embedded = await startEmbedded({ dataDir, log });
const { connection } = embedded;
await migrateUp({ connection, log });
const db = openDb({
  ...{ connection, connectionsMax: 16, acquireTimeoutMs: 10_000, statementTimeoutMs: 30_000 },
  onError: () => {},
});
const far = 1_000_000_000;
const house = await openApi({
  database: {
    ...{ db, connection, url: '' },
    dispose: async () => {
      await db.close();
      await embedded.stop();
    },
  },
  limits: { tokenPerMinute: far, addressPerMinute: far, streamsPerCallerMax: 500 },
  ports: 5_000,
});
const place: ApiPlace = { url: house.url, token: house.adminToken, nodeId: house.nodeId, connection };
process.send?.(place);
process.once('message', () => void house[Symbol.asyncDispose]().then(() => process.disconnect?.()));
process.once('disconnect', () => process.exit());
