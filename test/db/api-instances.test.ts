// Instances through the API: the answers of a whole life, who sees what, pages, entity tags, waiting, repeating.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken } from '../../src/base/tokens.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
let type: string;
beforeAll(async () => {
  house = await openApi({ ports: 60 });
  type = `type-${await addType(house.database.db)}`;
});
afterAll(() => house[Symbol.asyncDispose]());

const api = '/api/v1/instances';
let named = 0;
const create = (token: string, body: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  house.send('POST', api, { token, headers, body: { mcp_type: type, name: `n-${named++}`, ...body } });
const get = (token: string, path: string, headers: Record<string, string> = {}) =>
  house.send('GET', `${api}${path}`, { token, headers });
const post = (token: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  house.send('POST', `${api}${path}`, { token, headers, ...(body === undefined ? {} : { body }) });

describe('asking for one', () => {
  it('gives its token here and nowhere else', async () => {
    const { token, id: userId } = await house.user();
    const answer = await create(token, { duration_minutes: 0.5, config: { arguments: {} } });
    expect(answer.status).toBe(201);
    const made = answer.json.data;
    expect(made).toMatchObject({
      status: 'pending',
      user_id: userId,
      mcp_type: type,
      config: { arguments: {} },
    });
    expect(made.access_token).toMatch(/^mcp_[\w-]{43}$/);
    expect(made.access_url).toBe(`http://127.0.0.1:${made.assigned_port}/mcp`);
    expect(Date.parse(made.expires_at) - Date.parse(made.server_time)).toBeGreaterThan(25_000);
    expect(answer.headers.get('location')).toBe(`${api}/${made.id}`);
    const again = await get(token, `/${made.id}`);
    expect(again.json.data).toMatchObject({ id: made.id, name: made.name });
    expect(again.text).not.toContain('access_token');
    expect(again.text).not.toContain(hashToken(made.access_token).toString('hex'));
  });

  it('waits until it runs when that is preferred', async () => {
    const { token } = await house.user();
    const asked = create(token, { name: 'waited-for' }, { prefer: 'wait=20' });
    const id = await expect
      .poll(async () => (await get(token, '')).json.data[0]?.id as string | undefined)
      .toBeTypeOf('string')
      .then(async () => (await get(token, '')).json.data[0].id as string);
    await house.ready(id);
    const answer = await asked;
    expect(answer.status).toBe(201);
    expect(answer.headers.get('preference-applied')).toBe('wait=20');
    expect(answer.json.data.status).toBe('running');
  });
});

describe('a life', () => {
  it('goes through its answers', async () => {
    const { token } = await house.user();
    const {
      id,
      expires_at: firstEnd,
      access_token: firstToken,
    } = (await create(token, { duration_minutes: 5 })).json.data;
    await house.ready(id);
    const extended = await post(token, `/${id}/extend`, { duration_minutes: 30 });
    expect(extended.status).toBe(200);
    expect(Date.parse(extended.json.data.expires_at)).toBeGreaterThan(Date.parse(firstEnd));
    const secondToken = (await post(token, `/${id}/token`)).json.data.access_token;
    expect(secondToken).not.toBe(firstToken);

    const stopping = await post(token, `/${id}/stop`, {});
    expect([stopping.status, stopping.json.data.status]).toEqual([202, 'stopping']);
    await house.apply(id, { event: 'exited' });
    const stopped = await post(token, `/${id}/stop`);
    expect([stopped.status, stopped.json.data.status]).toEqual([200, 'disconnected']);
    const restored = await post(token, `/${id}/restore`);
    expect([restored.status, restored.json.data.status]).toEqual([202, 'pending']);
    await house.ready(id);
    expect((await post(token, `/${id}/restart`)).status).toBe(202);
    await house.apply(id, { event: 'exited' });
    await house.ready(id);

    const removing = await house.send('DELETE', `${api}/${id}`, { token });
    expect([removing.status, removing.json.data.stop_reason]).toEqual([202, 'deleted']);
    await house.apply(id, { event: 'exited' });
    expect((await get(token, `/${id}`)).status).toBe(404);
    expect((await house.send('DELETE', `${api}/${id}`, { token })).status).toBe(404);
  });

  it('that is at rest is gone at once, and the answer says so', async () => {
    const { token } = await house.user();
    const { id } = (await create(token)).json.data;
    await post(token, `/${id}/stop`);
    await house.apply(id, { event: 'exited' });
    const answer = await house.send('DELETE', `${api}/${id}`, { token });
    expect([answer.status, answer.text]).toEqual([204, '']);
  });

  it('can be read in detail', async () => {
    const { token } = await house.user();
    const { id, name } = (await create(token)).json.data;
    const events = await get(token, `/${id}/events`);
    expect(events.json.data[0]).toMatchObject({ event_type: 'created', ip_address: '127.0.0.1' });
    const stats = await get(token, `/${id}/stats`);
    expect(stats.json.data).toMatchObject({ instance_id: id, requests: 0, cpu_percent: null });
    const config = await get(token, `/${id}/client-config?client=cursor`);
    expect(config.json.data).toMatchObject({ client: 'cursor', format: 'json' });
    expect(config.json.data.content).toContain(name);
    expect((await get(token, `/${id}/logs`)).json.data).toEqual([]);
  });
});

describe("what is another's", () => {
  it('is not there, for every way to ask', async () => {
    const [owner, other] = [await house.user(), await house.user()];
    const { id } = (await create(owner.token)).json.data;
    const asks: readonly [string, string, unknown?][] = [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/stop'],
      ['POST', '/restart'],
      ['POST', '/restore'],
      ['POST', '/renew', {}],
      ['POST', '/extend', { duration_minutes: 10 }],
      ['POST', '/token'],
      ['GET', '/logs'],
      ['GET', '/logs/stream'],
      ['GET', '/logs/export'],
      ['GET', '/events'],
      ['GET', '/stats'],
      ['GET', '/client-config?client=cursor'],
    ];
    for (const [method, path, body] of asks) {
      const options = { token: other.token, ...(body === undefined ? {} : { body }) };
      const answer = await house.send(method, `${api}/${id}${path}`, options);
      expect([method, path, answer.status, answer.json?.code]).toEqual([method, path, 404, 'not_found']);
    }
    expect((await get(other.token, '')).json.data).toEqual([]);
    expect((await get(other.token, `?user_id=${owner.id}`)).json.data).toEqual([]);
    expect((await get(owner.token, `/${id}`)).json.data.status).toBe('pending');
    expect((await get(house.adminToken, `?user_id=${owner.id}`)).json.data).toHaveLength(1);
  });

  it("is another's also for an admin whose token has not the scope admin", async () => {
    const { token } = await house.user();
    const { id } = (await create(token)).json.data;
    const made = await house.send('POST', '/api/v1/tokens', { body: { name: 'small' } });
    expect((await get(made.json.data.api_token, `/${id}`)).status).toBe(404);
  });
});

describe('a list', () => {
  it('comes page by page, newest first, each once', async () => {
    const { token } = await house.user();
    const ids: string[] = [];
    for (let at = 0; at < 5; at += 1) ids.unshift((await create(token)).json.data.id);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await get(token, `?limit=2${cursor && `&cursor=${cursor}`}`);
      seen.push(...page.json.data.map((instance: { id: string }) => instance.id));
      cursor = page.json.meta.next_cursor;
    }
    expect(seen).toEqual(ids);
  });

  it('comes page by page, each once, however it is sorted', async () => {
    const { db } = house.database;
    const { token, id: userId } = await house.user();
    for (let at = 0; at < 7; at += 1) {
      const { id } = (await create(token, { name: `s-${(at * 3) % 7}` })).json.data;
      if (at % 2 === 0) await house.ready(id);
    }
    // Times that are the same, times a microsecond apart, and times there are none.
    await db.query(
      `UPDATE mcp_instances i SET created_at = t - interval '1 hour', expires_at = t + interval '1 hour',
         last_accessed = CASE WHEN at > 3 THEN t END
       FROM (SELECT id, row_number() OVER (ORDER BY name) AS at,
               date_trunc('second', now()) + (row_number() OVER (ORDER BY name) / 3) * interval '1 microsecond' AS t
             FROM mcp_instances WHERE user_id = $1) AS moved WHERE i.id = moved.id`,
      [userId],
    );
    const columns = [
      ...['created_at', 'expires_at', 'name', 'status'].map((name) => [name, name] as const),
      ['last_accessed', `coalesce(last_accessed, '-infinity')`] as const,
      ['mcp_type', 'mcp_type_id'] as const,
    ];
    for (const [name, column] of columns) {
      for (const [sort, direction] of [
        [name, 'ASC'],
        [`-${name}`, 'DESC'],
      ]) {
        const wanted = await db.query<{ id: string }>(
          `SELECT id FROM mcp_instances WHERE user_id = $1 ORDER BY ${column} ${direction}, id ${direction}`,
          [userId],
        );
        const seen: string[] = [];
        for (let cursor: string | null = ''; cursor !== null; ) {
          const page = await get(token, `?limit=2&sort=${sort}${cursor && `&cursor=${cursor}`}`);
          seen.push(...page.json.data.map((instance: { id: string }) => instance.id));
          cursor = page.json.meta.next_cursor;
        }
        expect([sort, seen]).toEqual([sort, wanted.map((row) => row.id)]);
      }
    }
  });

  it('goes on only in the order its cursor was made in', async () => {
    const { token } = await house.user();
    await create(token);
    await create(token);
    const cursor = (await get(token, '?limit=1&sort=name')).json.meta.next_cursor;
    for (const query of [`?cursor=${cursor}`, `?cursor=${cursor}&sort=expires_at`, '?sort=access_token']) {
      const answer = await get(token, query);
      expect([answer.status, answer.json.code]).toEqual([400, 'malformed_request']);
    }
  });

  it('finds by a part of the name or the beginning of the id, taken literally', async () => {
    const { token } = await house.user();
    const one = (await create(token, { name: 'report-of-may' })).json.data.id;
    await create(token, { name: 'other' });
    const found = async (q: string) =>
      (await get(token, `?q=${encodeURIComponent(q)}`)).json.data.map((row: { id: string }) => row.id);
    expect(await found('OF-MAY')).toEqual([one]);
    expect(await found(one.slice(0, 36))).toEqual([one]);
    expect(await found(one.slice(0, 13).toUpperCase())).toContain(one);
    expect(await found(one.slice(5))).toEqual([]);
    for (const literal of ['%', '_', 'r.port', "'", '\\']) expect(await found(literal)).toEqual([]);
  });

  it('leaves out what is over, unless asked', async () => {
    const { token } = await house.user();
    const { id } = (await create(token)).json.data;
    await house.database.db.query(
      `UPDATE mcp_instances SET created_at = created_at - interval '2 h', expires_at = clock_timestamp() - interval '1 s' WHERE id = $1`,
      [id],
    );
    await house.apply(id, { event: 'expire' });
    await house.apply(id, { event: 'exited' });
    expect((await get(token, '')).json.data).toEqual([]);
    expect((await get(token, '?include_ended=true')).json.data).toHaveLength(1);
    expect((await get(token, '?status=expired')).json.data).toHaveLength(1);
    expect((await get(token, '?status=running')).json.data).toEqual([]);
    const late = await post(token, `/${id}/extend`, { duration_minutes: 5 });
    expect([late.status, late.json.code]).toEqual([410, 'lease_over']);
    const renewed = await post(token, `/${id}/renew`, { duration_minutes: 5 });
    expect([renewed.status, renewed.json.data.status]).toEqual([202, 'pending']);
  });

  it('that has not changed costs no body', async () => {
    const { token } = await house.user();
    const { id } = (await create(token)).json.data;
    const first = await get(token, '');
    const tag = first.headers.get('etag') ?? '';
    const same = await get(token, '', { 'if-none-match': tag });
    expect([same.status, same.text]).toEqual([304, '']);
    await house.ready(id);
    expect((await get(token, '', { 'if-none-match': tag })).status).toBe(200);
  });
});

describe('Idempotency-Key', () => {
  it('has a lost answer come again, token and all, and nothing done twice', async () => {
    const { token } = await house.user();
    const headers = { 'idempotency-key': 'once' };
    const body = { name: 'only-one' };
    const first = await create(token, body, headers);
    const second = await create(token, body, headers);
    expect(second.status).toBe(201);
    expect(second.text).toBe(first.text);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect((await get(token, '')).json.data).toHaveLength(1);
  });

  it('keeps no access token in the open', async () => {
    const { token } = await house.user();
    const { access_token: secret } = (await create(token, {}, { 'idempotency-key': 'secret' })).json.data;
    const rows = await house.database.db.query<{ row: string; sealed: Buffer }>(
      'SELECT k::text AS row, sealed_answer AS sealed FROM idempotency_keys k',
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { row, sealed } of rows) {
      expect(row).not.toContain(secret.slice(4));
      expect(sealed.toString('latin1')).not.toContain(secret.slice(4));
    }
  });

  it('of another request is refused', async () => {
    const { token } = await house.user();
    const headers = { 'idempotency-key': 'k' };
    await create(token, { name: 'first-body' }, headers);
    const other = await create(token, { name: 'other-body' }, headers);
    expect([other.status, other.json.code]).toEqual([422, 'idempotency_key_reused']);
  });

  it('belongs to one caller', async () => {
    const [first, second] = [await house.user(), await house.user()];
    const headers = { 'idempotency-key': 'shared' };
    const body = { name: 'mine' };
    const [one, two] = [await create(first.token, body, headers), await create(second.token, body, headers)];
    expect([one.status, two.status]).toEqual([201, 201]);
    expect(two.json.data.id).not.toBe(one.json.data.id);
  });

  it('of many at once lets one through', async () => {
    const { token } = await house.user();
    const asks = Array.from({ length: 8 }, () =>
      create(token, { name: 'race' }, { 'idempotency-key': 'race' }),
    );
    const answers = await Promise.all(asks);
    expect((await get(token, '')).json.data).toHaveLength(1);
    const ids = answers.filter(({ status }) => status === 201).map(({ json }) => json.data.id);
    expect(new Set(ids).size).toBe(1);
    for (const { status, json, headers } of answers.filter((answer) => answer.status !== 201)) {
      expect([status, json.code]).toEqual([409, 'idempotency_in_progress']);
      expect(headers.get('retry-after')).toBe('2');
    }
  });

  it('is free again after a refusal', async () => {
    const { token } = await house.user();
    const headers = { 'idempotency-key': 'again' };
    expect((await create(token, { mcp_type: 'nothing' }, headers)).status).toBe(422);
    expect((await create(token, {}, headers)).status).toBe(201);
  });

  it('of a request that was cut off says that its outcome is unknown', async () => {
    const { token } = await house.user();
    const headers = { 'idempotency-key': 'cut' };
    await create(token, { name: 'cut-off' }, headers);
    await house.database.db.query(
      `UPDATE idempotency_keys SET sealed_answer = NULL, runs_until = clock_timestamp()
       WHERE key_hash = sha256('cut'::bytea)`,
    );
    const answer = await create(token, { name: 'cut-off' }, headers);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([409, null]);
  });

  it('must be readable', async () => {
    const { token } = await house.user();
    expect((await create(token, {}, { 'idempotency-key': 'x'.repeat(300) })).status).toBe(400);
  });
});

describe('disabling a user', () => {
  it('ends their instances', async () => {
    const { id: userId, token } = await house.user();
    const { id } = (await create(token)).json.data;
    await house.send('PATCH', `/api/v1/users/${userId}`, { body: { disabled: true } });
    const now = await get(house.adminToken, `/${id}`);
    expect(now.json.data).toMatchObject({ status: 'stopping', stop_reason: 'disabled' });
  });
});
