// Every operation of the OpenAPI document × {no token, unknown, expired, revoked, disabled, wrong scope, right scope} and
// × {cookie, cookie without CSRF token, cookie from a foreign page, cookie of nobody}: one table knows every answer. Who may not is told so before the body is looked at.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { routes } from '../../src/api/routes.ts';
import { newToken } from '../../src/base/tokens.ts';
import { scopes as allScopes, type Scope } from '../../src/domain/scopes.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { type Login, logIn } from '../support/login.ts';

let house: ApiHouse;
let login: Login;
const tokens: Record<string, string> = {};
const userScopes = allScopes.filter((scope) => scope !== 'admin' && scope !== 'metrics:read');

beforeAll(async () => {
  house = await openApi({ limits: { refusedLoginsPerMinute: 100_000 } });
  const { db } = house.database;
  const kill = async (name: string, set: string) => {
    const { token } = await house.user();
    await db.query(`UPDATE api_tokens SET ${set} WHERE prefix = $1`, [token.slice(0, 12)]);
    tokens[name] = token;
  };
  await kill('expired', 'expires_at = clock_timestamp()');
  await kill('revoked', 'revoked_at = clock_timestamp()');
  const disabled = await house.user();
  await house.send('PATCH', `/api/v1/users/${disabled.id}`, { body: { disabled: true } });
  tokens.disabled = disabled.token;
  tokens.unknown = newToken('mmt_');
  tokens['access token'] = newToken('mcp_');
  tokens['every scope of a user'] = (await house.user(undefined, { scopes: userScopes })).token;
  for (const scope of userScopes) tokens[scope] = (await house.user(undefined, { scopes: [scope] })).token;
  for (const scope of ['admin', 'metrics:read'] as const) {
    const made = await house.send('POST', '/api/v1/tokens', { body: { name: scope, scopes: [scope] } });
    tokens[scope] = made.json.data.api_token;
  }
  const reader = await house.send('POST', '/api/v1/tokens', {
    body: { name: 'r', scopes: ['instances:read'] },
  });
  tokens['an admin without the scope'] = reader.json.data.api_token;
  login = await logIn(house, { api_token: tokens['metrics:read'] });
});
afterAll(() => house[Symbol.asyncDispose]());

const unknownId = '01890a5d-ac96-774b-bcce-b302099a8057';
const guarded = routes.filter(([, , access]) => access !== 'public');
const named = guarded.map(([method, path, access, { streams }]) => ({
  ...{ method, access, streams },
  path: path.replace(':id', unknownId).replaceAll(/:\w+/g, 'nothing'),
}));

/** Long streams are ended by whoever opened them; here the status is enough. */
async function statusOf(
  method: string,
  path: string,
  token: string,
  headers: Record<string, string> = {},
): Promise<number> {
  const end = new AbortController();
  const response = await fetch(`${house.url}${path}`, {
    method,
    signal: end.signal,
    headers: { ...headers, ...(token === '' ? {} : { authorization: `Bearer ${token}` }) },
  });
  end.abort();
  return response.status;
}

const closedTo = ['', 'unknown', 'expired', 'revoked', 'disabled', 'access token'];
/** Asked of nobody here but with tokens that must not do it: they would change what other rows rest on. */
const changesTheHouse = /\/(drain|keyring|rotate)$/;

describe.each(named)('$method $path', ({ method, path, access }) => {
  it('is closed to what is no good API token', async () => {
    const statuses = await Promise.all(closedTo.map((name) => statusOf(method, path, tokens[name] ?? '')));
    expect(statuses).toEqual(closedTo.map(() => 401));
  });

  it('is open to its scope, and closed to every other', async () => {
    const asked = changesTheHouse.test(path) ? allScopes.filter((scope) => scope !== 'admin') : allScopes;
    const open = await Promise.all(
      asked.map(async (scope) => ![401, 403].includes(await statusOf(method, path, tokens[scope] ?? ''))),
    );
    const mayAsk = (scope: Scope) => access === 'anyone' || scope === access || scope === 'admin';
    expect(open).toEqual(asked.map((scope) => access !== 'session' && mayAsk(scope)));
  });

  it('takes a cookie like the token behind it, and changes nothing without the CSRF token', async () => {
    const ask = (headers: Record<string, string>) => statusOf(method, path, '', headers);
    const csrf = { 'x-csrf-token': login.csrf };
    const isSafe = method === 'GET';
    const mayAsk = ['session', 'anyone', 'metrics:read'].includes(access);
    expect(await ask({ cookie: `minimcp_session=${newToken('mms_')}`, ...csrf })).toBe(401);
    expect(await ask({ cookie: login.cookie, 'x-csrf-token': `${login.csrf}x` })).toBe(
      isSafe && mayAsk ? 200 : 403,
    );
    expect(await ask({ cookie: login.cookie })).toBe(isSafe && mayAsk ? 200 : 403);
    expect(await ask({ cookie: login.cookie, origin: 'https://elsewhere.example', ...csrf })).toBe(
      isSafe && mayAsk ? 200 : 403,
    );
    if (method === 'DELETE' && access === 'session') return;
    const whole = await ask({ cookie: login.cookie, origin: house.url, ...csrf });
    expect(![401, 403].includes(whole)).toBe(mayAsk);
  });

  it("is closed to users where it is the admins' business", async () => {
    const isAdmins = access === 'admin' || access === 'metrics:read';
    const status = await statusOf(method, path, tokens['every scope of a user'] ?? '');
    expect(status === 403).toBe(isAdmins);
    if (access !== 'admin') return;
    expect(await statusOf(method, path, tokens['an admin without the scope'] ?? '')).toBe(403);
  });
});

describe('public', () => {
  it.each(['/healthz', '/readyz', '/api/v1/openapi.json'])('%s needs no token', async (path) => {
    expect(await statusOf('GET', path, '')).toBe(200);
  });
});

it('knows every scope', () => {
  const used = new Set(routes.map(([, , access]) => access));
  expect(allScopes.filter((scope: Scope) => !used.has(scope))).toEqual([]);
});
