// Users and API tokens through the API, over HTTP on a real database: who is let in, what a token may make of itself,
// and what disabling and revoking do.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newToken } from '../../src/base/tokens.ts';
import { type ApiHouse, openApi } from '../support/api.ts';

let house: ApiHouse;
beforeAll(async () => {
  house = await openApi({ limits: { refusedLoginsPerMinute: 1_000 } });
});
afterAll(() => house[Symbol.asyncDispose]());

const me = (token: string, headers: Record<string, string> = {}) =>
  house.send('GET', '/api/v1/me', { token, headers });

const eventsOf = (type: string) =>
  house.database.db.query<{ event_data: Record<string, unknown>; actor_id: string; ip: string }>(
    'SELECT event_data, actor_id, host(ip_address) AS ip FROM mcp_events WHERE event_type = $1 ORDER BY created_at',
    [type],
  );

describe('the admin of the first start', () => {
  it('is admin@localhost and may do everything', async () => {
    const answer = await me(house.adminToken);
    expect(answer.status).toBe(200);
    expect(answer.json.data).toMatchObject({
      email: 'admin@localhost',
      role: 'admin',
      effective_max_instances: 10,
      token: { acts_as_admin: true },
    });
  });
});

describe('a header', () => {
  const refused: readonly [string, (house: ApiHouse) => Record<string, string>][] = [
    ['none', () => ({})],
    ['another scheme', () => ({ authorization: 'Basic abc' })],
    ['an empty token', () => ({ authorization: 'Bearer ' })],
    ['an unknown token', () => ({ authorization: `Bearer ${newToken('mmt_')}` })],
    ['an access token', () => ({ authorization: `Bearer ${newToken('mcp_')}` })],
    ['a token and more', ({ adminToken }) => ({ authorization: `Bearer ${adminToken} x` })],
    ['a token with one letter changed', ({ adminToken }) => ({ authorization: `Bearer ${adminToken}A` })],
  ];
  it.each(refused)('with %s is answered with 401', async (_, headers) => {
    const answer = await house.send('GET', '/api/v1/me', { token: '', headers: headers(house) });
    expect(answer.status).toBe(401);
    expect(answer.json.code).toBe('unauthorized');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="minimcp"');
  });
});

describe('a token', () => {
  it('is shown once, kept as a hash, and used', async () => {
    const { token, id } = await house.user();
    expect(token).toMatch(/^mmt_[\w-]{43}$/);
    expect((await me(token)).json.data.id).toBe(id);
    const rows = await house.database.db.query<{ all: string }>(
      'SELECT api_tokens::text AS all FROM api_tokens',
    );
    expect(rows.map((row) => row.all).join()).not.toContain(token.slice(12));
    const listed = await house.send('GET', '/api/v1/tokens', { token });
    expect(listed.json.data).toHaveLength(1);
    expect(listed.json.data[0].last_used_at).not.toBeNull();
    expect(listed.text).not.toContain(token.slice(12));
  });

  it('has its use noted at most once a minute', async () => {
    const { token } = await house.user();
    const used = async () =>
      (await house.send('GET', '/api/v1/tokens', { token })).json.data[0].last_used_at as string;
    await me(token);
    const first = await used();
    expect(await used()).toBe(first);
  });

  it('is dead once revoked', async () => {
    const { token } = await house.user();
    const id = (await house.send('GET', '/api/v1/tokens', { token })).json.data[0].id;
    expect((await house.send('DELETE', `/api/v1/tokens/${id}`, { token })).status).toBe(204);
    const answer = await me(token);
    expect(answer.status).toBe(401);
    expect(answer.json.detail).toContain('revoked');
    expect((await house.send('DELETE', `/api/v1/tokens/${id}`)).status).toBe(404);
  });

  it('of someone else can be revoked by an admin only', async () => {
    const [first, second] = [await house.user(), await house.user()];
    const id = (await house.send('GET', '/api/v1/tokens', { token: first.token })).json.data[0].id;
    expect((await house.send('DELETE', `/api/v1/tokens/${id}`, { token: second.token })).status).toBe(404);
    expect((await house.send('DELETE', `/api/v1/tokens/${id}`)).status).toBe(204);
  });

  it('ends at its end', async () => {
    const { token } = await house.user();
    await house.database.db.query(`UPDATE api_tokens SET expires_at = clock_timestamp() WHERE prefix = $1`, [
      token.slice(0, 12),
    ]);
    const answer = await me(token);
    expect([answer.status, answer.json.detail]).toEqual([401, 'the API token is expired']);
  });

  it('works from its networks only', async () => {
    const inside = await house.user(undefined, { allowed_cidrs: ['127.0.0.0/8', '::1/128'] });
    const outside = await house.user(undefined, { allowed_cidrs: ['10.0.0.0/8'] });
    expect((await me(inside.token)).status).toBe(200);
    expect((await me(outside.token)).status).toBe(403);
  });

  it('has its own rate, told in headers', async () => {
    const { token } = await house.user(undefined, { rate_limit_per_minute: 2 });
    const answers = [await me(token), await me(token), await me(token)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[0]?.headers.get('ratelimit-limit')).toBe('2');
    expect(answers[0]?.headers.get('ratelimit-policy')).toMatch(/^"address";q=\d+;w=60, "token";q=2;w=60$/);
    expect(answers[0]?.headers.get('ratelimit')).toMatch(/^"address";r=\d+;t=\d+, "token";r=1;t=\d+$/);
    expect(Number(answers[2]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(answers[2]?.json.code).toBe('rate_limited');
  });
});

describe('a token made by a token', () => {
  const make = (token: string, body: Record<string, unknown>) =>
    house.send('POST', '/api/v1/tokens', { token, body: { name: 'child', ...body } });

  it('may do no more than its maker', async () => {
    const { token } = await house.user(undefined, { scopes: ['instances:read', 'tokens:write'] });
    expect((await make(token, { scopes: ['instances:write'] })).status).toBe(422);
    expect((await make(token, { scopes: ['admin'] })).status).toBe(422);
    const child = await make(token, {});
    expect(child.json.data.scopes).toEqual(['instances:read', 'tokens:write']);
  });

  it('lives no longer, reaches from no further, asks no faster', async () => {
    const end = new Date(Date.parse('2100-01-01T00:00:00Z')).toISOString();
    const { token } = await house.user(undefined, {
      expires_at: end,
      allowed_cidrs: ['127.0.0.0/8'],
      rate_limit_per_minute: 50,
    });
    const child = (await make(token, {})).json.data;
    expect(child).toMatchObject({
      expires_at: end,
      allowed_cidrs: ['127.0.0.0/8'],
      rate_limit_per_minute: 50,
    });
    expect((await make(token, { expires_at: '2100-01-01T00:00:01Z' })).json.errors[0].pointer).toBe(
      '/expires_at',
    );
    expect((await make(token, { allowed_cidrs: ['0.0.0.0/0'] })).json.errors[0].pointer).toBe(
      '/allowed_cidrs',
    );
    const within = await make(token, { allowed_cidrs: ['127.0.0.7/24'] });
    expect(within.json.data.allowed_cidrs).toEqual(['127.0.0.0/24']);
    expect((await make(token, { expires_at: '2000-01-01T00:00:00Z' })).status).toBe(422);
  });

  it('belongs to another only when an admin makes it', async () => {
    const [first, second] = [await house.user(), await house.user()];
    expect((await make(first.token, { user_id: second.id })).status).toBe(403);
  });

  it('never has the scope admin by default, and only for admins', async () => {
    const { id } = await house.user();
    expect((await make(house.adminToken, {})).json.data.scopes).not.toContain('admin');
    expect((await make(house.adminToken, { user_id: id, scopes: ['admin'] })).status).toBe(422);
  });
});

describe('users', () => {
  it('are made, listed page by page, changed, with events that say before and after', async () => {
    const { id } = await house.user('change-me');
    const patched = await house.send('PATCH', `/api/v1/users/${id}`, {
      body: { max_instances: 3, name: 'New' },
    });
    expect(patched.json.data).toMatchObject({ max_instances: 3, name: 'New', role: 'user' });
    const [event] = await eventsOf('user_changed');
    expect(event).toMatchObject({
      event_data: {
        before: { name: 'change-me', max_instances: null },
        after: { name: 'New', max_instances: 3 },
      },
      ip: '127.0.0.1',
    });
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await house.send('GET', `/api/v1/users?limit=2${cursor && `&cursor=${cursor}`}`);
      seen.push(...page.json.data.map((user: { id: string }) => user.id));
      cursor = page.json.meta.next_cursor;
    }
    expect(seen).toContain(id);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('have one address each, whatever its case', async () => {
    await house.user('twice');
    const again = await house.send('POST', '/api/v1/users', {
      body: { email: 'TWICE@example.com', name: 'x' },
    });
    expect([again.status, again.json.code]).toEqual([409, 'email_taken']);
  });

  it('can be disabled, and are then refused at once', async () => {
    const { id, token } = await house.user();
    expect((await house.send('PATCH', `/api/v1/users/${id}`, { body: { disabled: true } })).status).toBe(200);
    expect((await me(token)).status).toBe(401);
    await house.send('PATCH', `/api/v1/users/${id}`, { body: { disabled: false } });
    expect((await me(token)).status).toBe(200);
  });

  it('include one admin who can act, always', async () => {
    const { id } = (await me(house.adminToken)).json.data;
    for (const body of [{ disabled: true }, { role: 'user' }]) {
      const answer = await house.send('PATCH', `/api/v1/users/${id}`, { body });
      expect([answer.status, answer.json.code]).toEqual([422, 'invalid_field']);
    }
  });
});

describe('refused logins', () => {
  it('are events, and a flood of them is not', async () => {
    await using quiet = await openApi({ limits: { refusedLoginsPerMinute: 5 } });
    const statuses: number[] = [];
    for (let at = 0; at < 8; at += 1) {
      statuses.push((await quiet.send('GET', '/api/v1/me', { token: newToken('mmt_') })).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    const rows = await quiet.database.db.query(`SELECT 1 FROM mcp_events WHERE event_type = 'login_refused'`);
    expect(rows.length).toBeLessThanOrEqual(3);
    expect((await quiet.send('GET', '/api/v1/me')).status).toBe(200);
  });
});
