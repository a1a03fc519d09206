// Limits that more than one process keeps: creations within an hour, and rates over several supervisors.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSharedRates } from '../../src/api/shared-rates.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { silentLog } from '../support/cluster.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
let type: string;
beforeAll(async () => {
  house = await openApi({ ports: 40, limits: { tokenPerMinute: 50 } });
  type = `type-${await addType(house.database.db)}`;
});
afterAll(() => house[Symbol.asyncDispose]());

describe('creations within an hour', () => {
  it('are refused past the setting, also when what was created is gone, with an event a minute', async () => {
    const value = { body: { value: 3 } };
    expect((await house.send('PUT', '/api/v1/settings/mcp.max_creations_per_hour', value)).status).toBe(200);
    const { token, id } = await house.user();
    const create = () => house.send('POST', '/api/v1/instances', { token, body: { mcp_type: type } });
    const together = await Promise.all([create(), create(), create(), create(), create()]);
    expect(together.map(({ status }) => status).sort()).toEqual([201, 201, 201, 429, 429]);
    const refused = together.find(({ status }) => status === 429);
    expect(refused?.json.code).toBe('rate_limited');
    const waitS = Number(refused?.headers.get('retry-after'));
    expect(waitS).toBeGreaterThan(3_500);
    expect(waitS).toBeLessThanOrEqual(3_600);
    const { db } = house.database;
    await db.query('DELETE FROM mcp_instances WHERE user_id = $1', [id]);
    expect((await create()).status).toBe(429);
    const events = await db.query(
      `SELECT event_data, host(ip_address) AS ip FROM mcp_events WHERE user_id = $1 AND event_type = 'creation_refused'`,
      [id],
    );
    expect(events.length).toBeGreaterThan(0);
    expect(events.length).toBeLessThanOrEqual(3);
    expect(events[0]).toEqual({ event_data: { reason: 'rate', per_hour: 3 }, ip: '127.0.0.1' });
    await house.send('PUT', '/api/v1/settings/mcp.max_creations_per_hour', { body: { value: 600 } });
    await expect.poll(async () => (await create()).status, { timeout: 20_000 }).toBe(201);
  });
});

describe('a limit that an instance breaks', () => {
  it('is an event of its own', async () => {
    const { token } = await house.user();
    const made = await house.send('POST', '/api/v1/instances', { token, body: { mcp_type: type } });
    const { id } = made.json.data;
    await house.ready(id);
    await house.apply(id, { event: 'exited', reason: 'limit', message: 'memory: more than 512 MiB' });
    const [event] = (await house.send('GET', `/api/v1/instances/${id}/events`, { token })).json.data;
    expect(event).toMatchObject({
      event_type: 'limited',
      event_data: { from: 'running', to: 'error', reason: 'limit', message: 'memory: more than 512 MiB' },
    });
  });
});

describe('rates', () => {
  const counted = () => house.database.db.query('SELECT 1 FROM rate_counters');

  it('are not written where there is one supervisor', async () => {
    const alone = createSharedRates({
      db: house.database.db,
      nodeId: house.nodeId,
      log: silentLog,
      flushMs: 5,
    });
    alone.count('token:x');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await counted()).toEqual([]);
    alone.stop();
  });

  it('hold over all supervisors together', async () => {
    const { db } = house.database;
    await db.query(
      `INSERT INTO nodes (id, epoch, lease_until) SELECT 'other-' || n, 1, clock_timestamp() + interval '1 hour' FROM generate_series(1, 2) AS n`,
    );
    const [one, two] = ['other-1', 'other-2'].map((nodeId) =>
      createSharedRates({ db, nodeId, log: silentLog, flushMs: 5 }),
    );
    expect(one?.count('token:shared')).toBe(0);
    for (let n = 1; n < 40; n += 1) one?.count('token:shared');
    // A minute may turn in between: then both begin anew.
    await expect.poll(() => two?.count('token:shared'), { timeout: 20_000 }).toBeGreaterThanOrEqual(40);
    one?.stop();
    two?.stop();
  });

  it('are refused at once for what others have let through, with the headers that say so', async () => {
    const { token, id } = await house.user();
    const { db } = house.database;
    const me = () => house.send('GET', '/api/v1/me', { token });
    const [row] = await db.query<{ id: string }>('SELECT id FROM api_tokens WHERE user_id = $1', [id]);
    await db.query(
      `INSERT INTO rate_counters (window_start, key, node_id, hits)
       SELECT date_trunc('minute', clock_timestamp()) + n * interval '1 minute', 'token:' || $1, 'other-1', 60 FROM generate_series(0, 1) AS n`,
      [row?.id],
    );
    // The other supervisors are looked for every ten seconds.
    const answer = await expect
      .poll(me, { timeout: 20_000, interval: 500 })
      .toMatchObject({ status: 429 })
      .then(me);
    expect(answer.json.code).toBe('rate_limited');
    expect(answer.headers.get('ratelimit-remaining')).toBe('0');
    expect(answer.headers.get('ratelimit-limit')).toBe('50');
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }, 30_000);
});
