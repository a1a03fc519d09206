// What is held about a person, exported and erased: nothing of them is left but a trail without them, which nobody can
// change or shorten.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { beginErasure } from '../../src/db/queries/erasure.ts';
import { ensurePartition } from '../../src/db/queries/partitions.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
let type: string;
beforeAll(async () => {
  house = await openApi();
  type = await addType(house.database.db);
  await house.database.db.query(`UPDATE mcp_types SET key_variable = 'KEY' WHERE id = $1`, [type]);
});
afterAll(() => house[Symbol.asyncDispose]());

const canary = 'canary-0123456789abcdef';

/** A person with one of everything. */
async function somebody(name: string): Promise<{ id: string; token: string; instanceId: string }> {
  const person = await house.user(name);
  const { token } = person;
  await house.send('PUT', `/api/v1/api-keys/type-${type}`, { token, body: { api_key: canary } });
  const body = { mcp_type: `type-${type}`, name: `${name}-one` };
  const headers = { 'user-agent': `${name}-agent` };
  const made = await house.send('POST', '/api/v1/instances', { token, body, headers });
  const instanceId: string = made.json.data.id;
  await house.ready(instanceId);
  await house.database.db.query(
    `INSERT INTO mcp_logs (mcp_instance_id, message) SELECT $1, 'line ' || n FROM generate_series(1, 1200) AS n`,
    [instanceId],
  );
  return { ...person, instanceId };
}

interface Line {
  readonly kind: string;
  readonly data: Record<string, unknown>;
}
/** The last line: how much there was. */
const endOfExport = (text: string) =>
  linesOf(text).at(-1) as { kind: string; data: { counts: Record<string, number>; omitted: unknown[] } };
const linesOf = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Raises what a shim's end and the wipe after it would. */
async function endOf(instanceId: string, userId: string): Promise<void> {
  const { db } = house.database;
  const statusOf = async () =>
    (await db.query<{ status: string }>('SELECT status FROM mcp_instances WHERE id = $1', [instanceId]))[0]
      ?.status;
  await expect.poll(statusOf).toBe('stopping');
  await house.apply(instanceId, { event: 'exited', reason: 'deleted' });
  await db.query(`INSERT INTO mcp_events (mcp_instance_id, user_id, event_type) VALUES ($1, $2, 'receipt')`, [
    instanceId,
    userId,
  ]);
}

/** The erasure, with the ends of the instances meanwhile. */
async function erase(person: { id: string; instanceId: string }): Promise<number> {
  const [answer] = await Promise.all([
    house.send('DELETE', `/api/v1/users/${person.id}`),
    endOf(person.instanceId, person.id),
  ]);
  return answer.status;
}

describe('an export', () => {
  it('holds everything of the person and no secret', async () => {
    const anna = await somebody('anna');
    await somebody('other');
    const own = await house.send('GET', '/api/v1/me/export', { token: anna.token });
    expect(own.status).toBe(200);
    expect(own.headers.get('content-type')).toMatch(/^application\/x-ndjson/);
    const lines = linesOf(own.text);
    expect(lines[0]?.kind).toBe('export');
    expect(lines[1]).toMatchObject({ kind: 'user', data: { email: 'anna@example.com' } });
    const { counts, omitted } = endOfExport(own.text).data;
    expect(counts).toMatchObject({ api_token: 1, api_key: 1, instance: 1, log: 1_200 });
    expect(counts.event).toBeGreaterThan(3);
    expect(omitted).toEqual([]);
    expect(lines.find(({ kind }) => kind === 'api_key')?.data).toMatchObject({ key_hint: 'cdef' });
    for (const secret of [
      canary,
      anna.token,
      'token_hash',
      'access_token',
      'encrypted',
      'other@example.com',
    ]) {
      expect(own.text).not.toContain(secret);
    }
    const byAdmin = await house.send('GET', `/api/v1/users/${anna.id}/export`);
    expect(linesOf(byAdmin.text).map(({ kind }) => kind)).toEqual(lines.map(({ kind }) => kind));
  });

  it('says what a token may not read', async () => {
    const { token } = await house.user('narrow', { scopes: ['keys:read'] });
    const lines = linesOf((await house.send('GET', '/api/v1/me/export', { token })).text);
    expect(lines.at(-1)?.data).toEqual({
      counts: { api_key: 0 },
      omitted: [
        { kind: 'api_token', scope: 'tokens:write' },
        { kind: 'session', scope: 'tokens:write' },
        { kind: 'instance', scope: 'instances:read' },
        { kind: 'usage', scope: 'instances:read' },
        { kind: 'event', scope: 'instances:read' },
        { kind: 'log', scope: 'instances:read' },
      ],
    });
  });
});

describe('an erasure', () => {
  it('leaves nothing of the person but a trail without them', async () => {
    const { db } = house.database;
    const berta = await somebody('berta');
    const bystander = await somebody('bystander');
    expect(await erase(berta)).toBe(204);
    expect((await house.send('GET', '/api/v1/me', { token: berta.token })).status).toBe(401);
    expect((await house.send('GET', `/api/v1/users/${berta.id}`)).status).toBe(404);
    for (const sql of [
      'SELECT 1 FROM users WHERE id = $1',
      'SELECT 1 FROM api_tokens WHERE user_id = $1',
      'SELECT 1 FROM api_keys WHERE user_id = $1',
      'SELECT 1 FROM mcp_instances WHERE user_id = $1',
      'SELECT 1 FROM mcp_events WHERE user_id = $1 OR actor_id = $1',
    ]) {
      expect(await db.query(sql, [berta.id]), sql).toEqual([]);
    }
    expect(await db.query('SELECT 1 FROM mcp_logs WHERE mcp_instance_id = $1', [berta.instanceId])).toEqual(
      [],
    );
    const trail = await db.query<{ event_type: string; all: string; actor_id: string | null }>(
      `SELECT event_type, actor_id, mcp_events::text AS all FROM mcp_events WHERE mcp_instance_id = $1 ORDER BY id`,
      [berta.instanceId],
    );
    expect(trail.map((event) => event.event_type)).toEqual(
      expect.arrayContaining(['created', 'ready', 'stopping', 'deleted', 'receipt']),
    );
    expect(trail.find((event) => event.event_type === 'created')?.actor_id).toMatch(/^[0-9a-f-]{36}$/);
    const everything = await db.query<{ all: string }>('SELECT mcp_events::text AS all FROM mcp_events');
    for (const { all } of everything) expect(all).not.toMatch(/berta|-one.*berta/);
    // Who erased, and from where, stays.
    const [erased] = await db.query<{ ip_address: string | null; event_data: Record<string, unknown> }>(
      `SELECT host(ip_address) AS ip_address, event_data FROM mcp_events WHERE event_type = 'user_erased'`,
    );
    expect(erased).toMatchObject({ ip_address: '127.0.0.1', event_data: { instances: 1, log_lines: 1_200 } });
    // And nobody else lost anything.
    const { counts } = endOfExport(
      (await house.send('GET', `/api/v1/users/${bystander.id}/export`)).text,
    ).data;
    expect(counts).toMatchObject({ instance: 1, log: 1_200, api_key: 1 });
  });

  it('may be asked for again', async () => {
    const carla = await somebody('carla');
    expect(await erase(carla)).toBe(204);
    expect((await house.send('DELETE', `/api/v1/users/${carla.id}`)).status).toBe(204);
    const unknown = await house.send('DELETE', '/api/v1/users/01890a5d-ac96-774b-bcce-b302099a8057');
    expect(unknown.status).toBe(404);
  });

  it('that was cut off goes on when it is asked for again', async () => {
    const eva = await house.user('eva');
    await beginErasure(house.database.db, eva.id);
    expect((await house.send('GET', '/api/v1/me', { token: eva.token })).status).toBe(401);
    expect((await house.send('GET', `/api/v1/users/${eva.id}`)).status).toBe(404);
    expect((await house.send('DELETE', `/api/v1/users/${eva.id}`)).status).toBe(204);
    expect(await house.database.db.query('SELECT 1 FROM users WHERE id = $1', [eva.id])).toEqual([]);
  });

  it('is refused for the last admin who can act', async () => {
    const { id } = (await house.send('GET', '/api/v1/me')).json.data;
    const answer = await house.send('DELETE', `/api/v1/users/${id}`);
    expect([answer.status, answer.json.code]).toEqual([409, 'illegal_in_status']);
  });
});

describe('the audit trail', () => {
  const refused = { code: '42501', message: 'the audit trail is append-only' };
  it.each([
    `UPDATE mcp_events SET event_type = 'nothing'`,
    `UPDATE mcp_events SET event_data = '{}'`,
    'DELETE FROM mcp_events',
    'TRUNCATE mcp_events',
  ])('refuses its owner %s', async (sql) => {
    await expect(house.database.db.query(sql)).rejects.toMatchObject(refused);
  });

  it('refuses it on its partitions, also new ones', async () => {
    const { db } = house.database;
    const partition = await ensurePartition(db, 'mcp_events', new Date('2033-03-03'), 'month');
    await db.query(`INSERT INTO mcp_events (event_type, created_at) VALUES ('x', '2033-03-03')`);
    await expect(db.query(`UPDATE ${partition} SET event_type = 'y'`)).rejects.toMatchObject(refused);
    await expect(db.query(`DELETE FROM ${partition}`)).rejects.toMatchObject(refused);
  });

  it('lets an erasure take away who, and nothing else', async () => {
    const { db } = house.database;
    const erasing = (set: string) =>
      db.tx(async (tx) => {
        await tx.query(`SELECT set_config('minimcp.erasing', 'on', true)`);
        await tx.query(`UPDATE mcp_events SET ${set}`);
      });
    await expect(erasing(`event_type = 'nothing'`)).rejects.toMatchObject(refused);
    await expect(erasing(`created_at = created_at - interval '1 second'`)).rejects.toMatchObject(refused);
    await expect(erasing('mcp_instance_id = gen_random_uuid()')).rejects.toMatchObject(refused);
    const [someone] = await db.query<{ id: string }>('SELECT id FROM users LIMIT 1');
    await db.query(`INSERT INTO mcp_events (event_type) VALUES ('x')`);
    await expect(erasing(`user_id = '${someone?.id}'`)).rejects.toMatchObject(refused);
  });

  it('outlives an instance that is removed for good', async () => {
    const { db } = house.database;
    const dora = await somebody('dora');
    await db.query('DELETE FROM mcp_instances WHERE id = $1', [dora.instanceId]);
    const left = await db.query('SELECT 1 FROM mcp_events WHERE mcp_instance_id = $1', [dora.instanceId]);
    expect(left.length).toBeGreaterThan(1);
  });

  it('is not written by the role the API reads with', async () => {
    const person = await house.user();
    const as = (sql: string) =>
      house.database.db.as({ userId: person.id, role: 'admin' }, (tx) => tx.query(sql));
    for (const sql of [
      `INSERT INTO mcp_events (event_type) VALUES ('x')`,
      `UPDATE mcp_events SET event_type = 'x'`,
      'DELETE FROM mcp_events',
      'TRUNCATE mcp_events',
    ]) {
      await expect(as(sql)).rejects.toMatchObject({ code: '42501' });
    }
  });
});
