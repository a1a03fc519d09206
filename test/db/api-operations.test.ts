// What admins and machines ask: health, readiness, metrics, settings, ports, nodes, events, keys, the drain; and what the
// API says while the database is away.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settingSchemas } from '../../src/accounts/settings.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { offlineApi } from '../support/offline-api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
beforeAll(async () => {
  house = await openApi();
});
afterAll(() => house[Symbol.asyncDispose]());

const get = (path: string) => house.send('GET', path);

describe('health', () => {
  it('is alive, and ready with its checks or not ready with what is wrong', async () => {
    expect((await house.send('GET', '/healthz', { token: '' })).json).toEqual({ status: 'ok' });
    expect((await house.send('GET', '/readyz', { token: '' })).json).toEqual({
      ready: true,
      checks: { database: 'ok' },
    });
    house.setHealth({ ready: false, checks: { queue: 'not polled for 60 s' } });
    const answer = await house.send('GET', '/readyz', { token: '' });
    expect([answer.status, answer.json.checks]).toEqual([503, { queue: 'not polled for 60 s' }]);
    house.setHealth({ ready: true, checks: {} });
  });
});

describe('metrics', () => {
  it('count instances, ports, connections, requests and the event loop', async () => {
    const type = `type-${await addType(house.database.db)}`;
    await house.send('POST', '/api/v1/instances', { body: { mcp_type: type } });
    const answer = await get('/metrics');
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of [
      `minimcp_instances{status="pending",mcp_type="${type}"} 1`,
      `minimcp_ports{node="${house.nodeId}",state="held"} 1`,
      `minimcp_ports{node="${house.nodeId}",state="free"} 19`,
      'minimcp_database_up 1',
      'minimcp_api_request_seconds_count{method="POST",route="/api/v1/instances",status="201"} 1',
    ]) {
      expect(answer.text).toContain(line);
    }
    expect(answer.text).toMatch(/^minimcp_database_connections\{state="total"\} \d+$/m);
    expect(answer.text).toMatch(/^nodejs_eventloop_lag_seconds /m);
  });
});

describe('settings', () => {
  it('begin as the defaults that are told, every one of them in the database', async () => {
    const listed = (await get('/api/v1/settings?limit=200')).json.data as { key: string; value: unknown }[];
    const defaults = Object.entries(settingSchemas).map(([key, schema]) => [key, schema.parse(undefined)]);
    expect(Object.fromEntries(listed.map(({ key, value }) => [key, value]))).toEqual(
      Object.fromEntries(defaults),
    );
    const seeded = await house.database.db.query<{ key: string; value: unknown }>(
      'SELECT key, value FROM system_settings',
    );
    expect(seeded.map(({ key }) => key).sort()).toEqual(defaults.map(([key]) => key).sort());
    for (const { key, value } of seeded) {
      const schema = settingSchemas[key as keyof typeof settingSchemas];
      expect([key, value]).toEqual([key, schema.parse(undefined)]);
    }
  });

  const put = (key: string, value: unknown) =>
    house.send('PUT', `/api/v1/settings/${key}`, { body: { value } });

  it('are those of the schema, changed live, with an event that says before and after', async () => {
    const listed = await get('/api/v1/settings?limit=200');
    expect(listed.json.data.map(({ key }: { key: string }) => key)).toContain('mcp.max_instances_per_user');
    expect((await put('mcp.max_instances_per_user', 2)).json.data.value).toBe(2);
    await expect
      .poll(async () => (await get('/api/v1/me')).json.data.effective_max_instances, { timeout: 20_000 })
      .toBe(2);
    const [event] = (await get('/api/v1/events?event_type=setting_changed')).json.data;
    expect(event.event_data).toEqual({ key: 'mcp.max_instances_per_user', before: 10, after: 2 });
  });

  it('that widen the port range give every node the ports', async () => {
    const [{ count: before }] = (await house.database.db.query<{ count: number }>(
      'SELECT count(*) AS count FROM port_allocations',
    )) as [{ count: number }];
    expect((await put('port.range_end', 3_105)).status).toBe(200);
    const [{ count: after }] = (await house.database.db.query<{ count: number }>(
      'SELECT count(*) AS count FROM port_allocations',
    )) as [{ count: number }];
    expect(after - before).toBe(105);
  });
});

describe('machines', () => {
  it('show their ports page by page, and filtered', async () => {
    const ports: number[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await get(
        `/api/v1/ports?node_id=${house.nodeId}&limit=50${cursor && `&cursor=${cursor}`}`,
      );
      ports.push(...page.json.data.map(({ port }: { port: number }) => port));
      cursor = page.json.meta.next_cursor;
    }
    expect(ports).toEqual([...new Set(ports)].sort((a, b) => a - b));
    const held = await get('/api/v1/ports?is_available=false');
    expect(held.json.data).toHaveLength(1);
  });

  it('are listed', async () => {
    expect((await get('/api/v1/nodes')).json.data).toMatchObject([
      { id: house.nodeId, state: 'active', epoch: 1 },
    ]);
  });

  it('drain on request', async () => {
    const answer = await house.send('POST', '/api/v1/drain', { body: {} });
    expect([answer.status, answer.json.data]).toEqual([202, { node_id: house.nodeId, draining: true }]);
    expect(house.drains()).toBe(1);
  });
});

describe('types', () => {
  const document = (name: string, version = '1.0.0') => ({
    name: 'com.example/a-server',
    description: 'A server',
    version,
    packages: [{ registryType: 'npm', identifier: 'a-package', version, transport: { type: 'stdio' } }],
    _meta: { 'dev.minimcp/type': { name, script: 'index.js', max_duration_minutes: 30 } },
  });

  it('are added by admins, switched off, and then hidden from users', async () => {
    const { token } = await house.user();
    const added = await house.send('POST', '/api/v1/mcp-types?enable=true', { body: document('added') });
    expect([added.status, added.headers.get('location')]).toEqual([201, '/api/v1/mcp-types/added']);
    expect(added.json.data).toMatchObject({
      name: 'added',
      package: 'a-package',
      origin: 'admin',
      available: true,
    });
    const again = await house.send('POST', '/api/v1/mcp-types', { body: document('added') });
    expect([again.status, again.json.code]).toEqual([409, 'name_taken']);
    const seen = async () => (await house.send('GET', '/api/v1/mcp-types/added', { token })).status;
    expect(await seen()).toBe(200);
    const off = await house.send('PATCH', '/api/v1/mcp-types/added', { body: { is_active: false } });
    expect(off.json.data.is_active).toBe(false);
    expect(await seen()).toBe(404);
    expect((await house.send('GET', '/api/v1/mcp-types', { token })).text).not.toContain('"added"');
    expect((await get('/api/v1/mcp-types')).text).toContain('"added"');
  });
});

describe('keys', () => {
  it('go in, and only a hint comes out', async () => {
    const type = `type-${await addType(house.database.db)}`;
    await house.database.db.query(`UPDATE mcp_types SET key_variable = 'A_KEY' WHERE name = $1`, [type]);
    const key = 'a-secret-key-0123456789';
    const put = await house.send('PUT', `/api/v1/api-keys/${type}`, { body: { api_key: key } });
    expect([put.status, put.json.data.key_hint]).toEqual([200, '6789']);
    const listed = await get('/api/v1/api-keys');
    expect(listed.json.data).toMatchObject([{ mcp_type: type, key_hint: '6789' }]);
    expect(put.text + listed.text).not.toContain(key);
    const made = await house.send('POST', '/api/v1/instances', { body: { mcp_type: type } });
    expect(made.status).toBe(201);
    expect((await house.send('DELETE', `/api/v1/api-keys/${type}`)).status).toBe(204);
    expect((await get('/api/v1/api-keys')).json.data).toEqual([]);
    const events = (await get('/api/v1/events?limit=200')).text;
    expect(events).toContain('api_key_stored');
    expect(events).not.toContain(key);
  });

  it('of the ring are listed, added, turned and retired', async () => {
    const before = (await get('/api/v1/keyring')).json.data;
    expect(before).toMatchObject([{ state: 'active' }]);
    const added = await house.send('POST', '/api/v1/keyring', { body: {} });
    expect(added.status).toBe(201);
    const active = (await get('/api/v1/keyring')).json.data.filter(
      ({ state }: { state: string }) => state === 'active',
    );
    expect(active).toMatchObject([{ key_id: added.json.data.key_id }]);
    expect((await house.send('POST', '/api/v1/keyring/rotate', { body: {} })).json.data).toEqual({
      moved: 0,
      failed: 0,
    });
    const retire = (id: string) => house.send('POST', `/api/v1/keyring/${id}/retire`, { body: {} });
    expect((await retire(added.json.data.key_id)).status).toBe(409);
    expect((await retire(before[0].key_id)).status).toBe(204);
    expect((await retire('nothing')).status).toBe(404);
  });
});

describe('with the database away', () => {
  it('what needs it is answered with 503 and Retry-After, and the rest goes on', async () => {
    const api = await offlineApi();
    const headers = { authorization: `Bearer mmt_${'a'.repeat(43)}` };
    const answer = await api.app.inject({ method: 'GET', url: '/api/v1/me', headers });
    expect([answer.statusCode, answer.json().code, answer.headers['retry-after']]).toEqual([
      503,
      'database_unavailable',
      '5',
    ]);
    expect((await api.app.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
    expect((await api.app.inject({ method: 'GET', url: '/readyz' })).statusCode).toBe(503);
    await api.close();
  });
});

describe('what browsers are told', () => {
  it('leaves them nothing to run or to frame', async () => {
    const { headers } = await get('/api/v1/me');
    expect(headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'");
    expect(headers.get('strict-transport-security')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });
});
