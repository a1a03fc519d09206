// Logging in to the dashboard over HTTP on a real database: what a cookie may do and what ends it, one-time codes under a
// race, and what is kept of any of it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newToken } from '../../src/base/tokens.ts';
import { type ApiHouse, openApi, type Send } from '../support/api.ts';
import { type Login, logIn } from '../support/login.ts';

let house: ApiHouse;
beforeAll(async () => {
  house = await openApi({ limits: { refusedLoginsPerMinute: 1_000, heartbeatMs: 100 } });
});
afterAll(() => house[Symbol.asyncDispose]());

/** A request as the page makes it. */
const ask = (login: Login, method: string, path: string, wish: Send = {}) =>
  house.send(method, `/api/v1${path}`, {
    token: '',
    ...wish,
    headers: { cookie: login.cookie, 'x-csrf-token': login.csrf, ...wish.headers },
  });
const statusOf = async (login: Login) => (await ask(login, 'GET', '/session')).status;

async function codeOf(token: string): Promise<string> {
  const answer = await house.send('POST', '/api/v1/login-links', { token });
  expect(answer.status).toBe(201);
  const { url, expires_at: end, server_time: now } = answer.json.data;
  expect(Date.parse(end) - Date.parse(now)).toBeCloseTo(600_000, -3);
  expect(url.startsWith(`${house.url}/#/login?code=mml_`)).toBe(true);
  return url.split('code=')[1];
}

const eventsOf = (userId: string) =>
  house.database.db
    .query<{ event_type: string }>(
      `SELECT event_type FROM mcp_events WHERE user_id = $1 AND event_type ~ 'session|login' ORDER BY created_at`,
      [userId],
    )
    .then((rows) => rows.map((row) => row.event_type));

describe('a login', () => {
  it('with an API token answers with a cookie that scripts cannot read, and the rights of the token', async () => {
    const { token, id } = await house.user('lena', { scopes: ['instances:read', 'tokens:write'] });
    const login = await logIn(house, { api_token: token });
    expect(login.answer.status).toBe(201);
    expect(login.answer.json.data).toMatchObject({
      user: { id, email: 'lena@example.com', name: 'lena', role: 'user' },
      acts_as_admin: false,
      scopes: ['instances:read', 'tokens:write'],
    });
    expect(login.answer.headers.get('set-cookie')).toMatch(
      /^minimcp_session=mms_[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/,
    );
    expect(login.answer.text).not.toContain('mms_');
    const again = await ask(login, 'GET', '/session');
    expect(again.json.data).toMatchObject({ csrf_token: login.csrf, user: { id } });
    expect((await ask(login, 'GET', '/me')).json.data.id).toBe(id);
    expect((await ask(login, 'POST', '/instances', { body: {} })).status).toBe(403);
    expect(await eventsOf(id)).toEqual(['session_started']);
  });

  it('is kept as hashes only', async () => {
    const { token } = await house.user();
    const code = await codeOf(token);
    const waiting = await codeOf(token);
    const login = await logIn(house, { login_code: code });
    const secret = login.cookie.split('=')[1] ?? '';
    const rows = await house.database.db.query<{ all: string }>(
      `SELECT s::text AS all FROM sessions s UNION ALL SELECT c::text FROM login_codes c UNION ALL SELECT e::text FROM mcp_events e`,
    );
    expect(rows.length).toBeGreaterThan(2);
    for (const kept of [secret, code, waiting, token, login.csrf])
      expect(rows.some((row) => row.all.includes(kept) || row.all.includes(hex(kept)))).toBe(false);
  });

  it.each([
    ['an unknown token', { api_token: newToken('mmt_') }, 401],
    ['an access token', { api_token: newToken('mcp_') }, 401],
    ['an unknown code', { login_code: newToken('mml_') }, 401],
    ['both', { login_code: 'a', api_token: 'b' }, 422],
    ['neither', {}, 422],
    ['something else', { password: 'x' }, 422],
  ])('with %s is refused', async (_, body, status) => {
    const { answer } = await logIn(house, body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('set-cookie')).toBeNull();
  });

  it('from the page of another site is refused', async () => {
    const body = { api_token: house.adminToken };
    const origins = {
      'https://elsewhere.example': 403,
      null: 403,
      'http://127.0.0.1:1': 403,
      [house.url]: 201,
    };
    for (const [origin, status] of Object.entries(origins)) {
      const answer = await house.send('POST', '/api/v1/session', { token: '', body, headers: { origin } });
      expect([origin, answer.status]).toEqual([origin, status]);
      if (status === 403) expect(answer.json.code).toBe('foreign_origin');
    }
  });

  it('that keeps failing is answered with 429', async () => {
    await using strict = await openApi({ limits: { refusedLoginsPerMinute: 3 } });
    const statuses: number[] = [];
    for (let tries = 0; tries < 5; tries += 1)
      statuses.push((await logIn(strict, { login_code: newToken('mml_') })).answer.status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
  });
});

describe('a login code', () => {
  it('is spent once, however many try at the same time', async () => {
    const { token } = await house.user();
    const code = await codeOf(token);
    const tries = await Promise.all(Array.from({ length: 12 }, () => logIn(house, { login_code: code })));
    const statuses = tries.map(({ answer }) => answer.status).sort();
    expect(statuses).toEqual([201, ...Array.from({ length: 11 }, () => 401)]);
  });

  it('is worth nothing when its time, its token or its user is over', async () => {
    const { db } = house.database;
    const [late, revoked, disabled] = [await house.user(), await house.user(), await house.user()];
    const codes = [await codeOf(late.token), await codeOf(revoked.token), await codeOf(disabled.token)];
    await db.query(
      `UPDATE login_codes SET expires_at = clock_timestamp() WHERE token_id IN (SELECT id FROM api_tokens WHERE user_id = $1)`,
      [late.id],
    );
    const mine = await house.send('GET', '/api/v1/tokens', { token: revoked.token });
    await house.send('DELETE', `/api/v1/tokens/${mine.json.data[0].id}`);
    await house.send('PATCH', `/api/v1/users/${disabled.id}`, { body: { disabled: true } });
    await house.send('PATCH', `/api/v1/users/${disabled.id}`, { body: { disabled: false } });
    for (const code of codes) expect((await logIn(house, { login_code: code })).answer.status).toBe(401);
  });

  it('made by a session opens none that outlives it', async () => {
    const { token } = await house.user();
    const first = await logIn(house, { api_token: token });
    const link = await ask(first, 'POST', '/login-links');
    const second = await logIn(house, { login_code: link.json.data.url.split('code=')[1] });
    expect(second.answer.json.data.expires_at).toBe(first.answer.json.data.expires_at);
  });

  it('waits in bounded number: the oldest of a token goes', async () => {
    const { token } = await house.user();
    const codes: string[] = [];
    for (let made = 0; made < 21; made += 1) codes.push(await codeOf(token));
    expect((await logIn(house, { login_code: codes[0] })).answer.status).toBe(401);
    expect((await logIn(house, { login_code: codes[1] })).answer.status).toBe(201);
  });
});

describe('a session', () => {
  it('changes nothing without its CSRF token, or for the page of another site', async () => {
    const { token, id } = await house.user();
    const login = await logIn(house, { login_code: await codeOf(token) });
    const other = await logIn(house, { api_token: token });
    const body = { name: 'made by the page' };
    const codes: unknown[] = [];
    for (const headers of [
      { 'x-csrf-token': '' },
      { 'x-csrf-token': other.csrf },
      { origin: 'https://elsewhere.example' },
      { origin: 'null' },
    ] as Record<string, string>[]) {
      const answer = await ask(login, 'POST', '/tokens', { body, headers });
      codes.push([answer.status, answer.json.code]);
    }
    expect(codes).toEqual([
      [403, 'csrf_token_wrong'],
      [403, 'csrf_token_wrong'],
      [403, 'foreign_origin'],
      [403, 'foreign_origin'],
    ]);
    const counted = await house.database.db.query('SELECT 1 FROM api_tokens WHERE user_id = $1', [id]);
    expect(counted).toHaveLength(1);
    const made = await ask(login, 'POST', '/tokens', { body, headers: { origin: house.url } });
    expect(made.status).toBe(201);
  });

  it('counts for nothing beside an Authorization header', async () => {
    const [me, other] = [await house.user(), await house.user()];
    const login = await logIn(house, { api_token: me.token });
    const both = await ask(login, 'GET', '/me', { token: other.token });
    expect(both.json.data.id).toBe(other.id);
    const bad = await ask(login, 'GET', '/me', { token: newToken('mmt_') });
    expect(bad.status).toBe(401);
    const body = { name: 'x' };
    const unforged = await ask(login, 'POST', '/tokens', {
      token: other.token,
      body,
      headers: { 'x-csrf-token': '' },
    });
    expect(unforged.status).toBe(201);
  });

  it('is over after a logout, and the cookie is taken back', async () => {
    const { token, id } = await house.user();
    const login = await logIn(house, { api_token: token });
    const out = await ask(login, 'DELETE', '/session');
    expect(out.status).toBe(204);
    expect(out.headers.get('set-cookie')).toMatch(/^minimcp_session=; .*Expires=Thu, 01 Jan 1970/);
    const after = await ask(login, 'GET', '/me');
    expect([after.status, after.json.code]).toEqual([401, 'unauthorized']);
    expect(after.headers.get('set-cookie')).toMatch(/^minimcp_session=; /);
    expect(await eventsOf(id)).toEqual(['session_started', 'session_ended']);
  });

  it('is over at its end, after two idle hours, and with its token or its user; for good', async () => {
    const { db } = house.database;
    const change = async (set: string) => {
      const person = await house.user();
      const login = await logIn(house, { api_token: person.token });
      expect(await statusOf(login)).toBe(200);
      await db.query(`UPDATE sessions SET ${set} WHERE user_id = $1`, [person.id]);
      return statusOf(login);
    };
    expect(await change('expires_at = clock_timestamp()')).toBe(401);
    expect(await change(`last_used_at = clock_timestamp() - interval '121 minutes'`)).toBe(401);
    expect(await change(`last_used_at = clock_timestamp() - interval '119 minutes'`)).toBe(200);

    const [revoked, disabled, erased] = [await house.user(), await house.user(), await house.user()];
    const logins: Login[] = [];
    for (const { token } of [revoked, disabled, erased])
      logins.push(await logIn(house, { api_token: token }));
    const mine = await house.send('GET', '/api/v1/tokens', { token: revoked.token });
    await house.send('DELETE', `/api/v1/tokens/${mine.json.data[0].id}`);
    await house.send('PATCH', `/api/v1/users/${disabled.id}`, { body: { disabled: true } });
    expect(await Promise.all(logins.map(statusOf))).toEqual([401, 401, 200]);
    await house.send('PATCH', `/api/v1/users/${disabled.id}`, { body: { disabled: false } });
    await house.send('DELETE', `/api/v1/users/${erased.id}`);
    expect(await Promise.all(logins.map(statusOf))).toEqual([401, 401, 401]);
    const left = await db.query('SELECT 1 FROM sessions WHERE user_id = ANY($1)', [
      [revoked.id, disabled.id, erased.id],
    ]);
    expect(left).toEqual([]);
  });

  it('holds to the networks of its token', async () => {
    const { token } = await house.user(undefined, { allowed_cidrs: ['127.0.0.0/8'] });
    const login = await logIn(house, { api_token: token });
    expect(await statusOf(login)).toBe(200);
    await house.database.db.query(`UPDATE api_tokens SET allowed_cidrs = '{10.0.0.0/8}' WHERE prefix = $1`, [
      token.slice(0, 12),
    ]);
    expect(await statusOf(login)).toBe(403);
  });

  it('is one of twenty of its user at most: the one used longest ago goes', async () => {
    const { token, id } = await house.user();
    const logins = await Promise.all(Array.from({ length: 24 }, () => logIn(house, { api_token: token })));
    expect(logins.every(({ answer }) => answer.status === 201)).toBe(true);
    const statuses = await Promise.all(logins.map(statusOf));
    expect(statuses.filter((status) => status === 200)).toHaveLength(20);
    const rows = await house.database.db.query('SELECT 1 FROM sessions WHERE user_id = $1', [id]);
    expect(rows).toHaveLength(20);
  });

  it('keeps an Idempotency-Key for itself', async () => {
    const { token } = await house.user();
    const login = await logIn(house, { api_token: token });
    const wish = { body: { name: 'once' }, headers: { 'idempotency-key': 'one' } };
    const first = await ask(login, 'POST', '/tokens', wish);
    const second = await ask(login, 'POST', '/tokens', wish);
    expect(second.json).toEqual(first.json);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
  });

  it('ends the streams that were opened with it, and they do not keep it alive', async () => {
    const { token, id } = await house.user();
    const login = await logIn(house, { api_token: token });
    const open = await fetch(`${house.url}/api/v1/stream`, { headers: { cookie: login.cookie } });
    expect(open.status).toBe(200);
    let text = '';
    const whole = (async () => {
      for await (const chunk of (open.body ?? []) as AsyncIterable<Uint8Array>)
        text += Buffer.from(chunk).toString('utf8');
    })();
    const { db } = house.database;
    await db.query(
      `UPDATE sessions SET last_used_at = clock_timestamp() - interval '1 hour' WHERE user_id = $1`,
      [id],
    );
    const isFresh = async () =>
      (
        await db.query<{ fresh: boolean }>(
          `SELECT last_used_at > clock_timestamp() - interval '1 minute' AS fresh FROM sessions WHERE user_id = $1`,
          [id],
        )
      )[0]?.fresh;
    const beats = () => text.split(': still here').length - 1;
    const seen = beats();
    await expect.poll(beats).toBeGreaterThan(seen + 1);
    expect(await isFresh()).toBe(false);
    expect(await statusOf(login)).toBe(200);
    expect(await isFresh()).toBe(true);
    await ask(login, 'DELETE', '/session');
    await whole;
    expect(text).toMatch(/: unauthorized\n\n$/);
  });

  it('and codes that are over are swept', async () => {
    const { db } = house.database;
    const { token, id } = await house.user();
    await codeOf(token);
    await logIn(house, { api_token: token });
    await db.query(`UPDATE sessions SET expires_at = clock_timestamp() WHERE user_id = $1`, [id]);
    await db.query('UPDATE login_codes SET expires_at = clock_timestamp()');
    await house.sweep();
    const left = await db.query('SELECT 1 FROM sessions WHERE user_id = $1', [id]);
    expect([left, await db.query('SELECT 1 FROM login_codes')]).toEqual([[], []]);
  });
});

const hex = (text: string) => Buffer.from(text).toString('hex');
