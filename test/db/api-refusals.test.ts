// What the API refuses, in one table: for every kind of bad input the status, the code, and the place it names. And
// whatever else is sent, an answer that is not a failure of ours.
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorRegistry } from '../../src/base/errors.ts';
import { type Answer, type ApiHouse, missingPackage, openApi, type Send } from '../support/api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
let type: string;
let needsKey: string;
let switchedOff: string;
let unavailable: string;
let instance: string;
beforeAll(async () => {
  house = await openApi({ ports: 40, limits: { tokenPerMinute: 100_000, addressPerMinute: 100_000 } });
  const { db } = house.database;
  [type, needsKey, switchedOff] = [
    `type-${await addType(db)}`,
    `type-${await addType(db)}`,
    `type-${await addType(db)}`,
  ];
  unavailable = `type-${await addType(db)}`;
  await db.query('UPDATE mcp_types SET package_name = $2 WHERE name = $1', [unavailable, missingPackage]);
  await db.query(`UPDATE mcp_types SET key_variable = 'A_KEY' WHERE name = $1`, [needsKey]);
  await db.query('UPDATE mcp_types SET is_active = false WHERE name = $1', [switchedOff]);
  const body = { mcp_type: type, name: 'taken', duration_minutes: 5 };
  instance = (await house.send('POST', '/api/v1/instances', { body })).json.data.id;
});
afterAll(() => house[Symbol.asyncDispose]());

const v1 = '/api/v1';
const unknown = '01890a5d-ac96-774b-bcce-b302099a8057';
const big = { mcp_type: 'x', config: { big: 'x'.repeat(70_000) } };

interface Case {
  readonly what: string;
  readonly method?: string;
  readonly path: string | (() => string);
  readonly send?: Send | (() => Send);
  readonly answer: readonly [status: number, code: string, pointer?: string];
}

const create = (body: () => unknown) => ({
  method: 'POST',
  path: `${v1}/instances`,
  send: () => ({ body: body() }),
});
const raw = (text: string, headers: Record<string, string> = {}) => ({
  method: 'POST',
  path: `${v1}/instances`,
  send: { raw: text, headers },
});
const asked = (query: string) => ({ path: `${v1}/instances?${query}` });
const extend = (body: unknown) => ({
  method: 'POST',
  path: () => `${v1}/instances/${instance}/extend`,
  send: { body },
});

const cases: readonly Case[] = [
  {
    what: 'an unknown type',
    ...create(() => ({ mcp_type: 'nothing' })),
    answer: [422, 'unknown_type', '/mcp_type'],
  },
  {
    what: 'a type switched off',
    ...create(() => ({ mcp_type: switchedOff })),
    answer: [422, 'type_disabled', '/mcp_type'],
  },
  {
    what: 'a type whose package is missing',
    ...create(() => ({ mcp_type: unavailable })),
    answer: [422, 'type_unavailable', '/mcp_type'],
  },
  {
    what: 'an input the type does not take',
    ...create(() => ({ mcp_type: type, config: { environment: { A: 'b' } } })),
    answer: [422, 'invalid_field', '/config/environment/A'],
  },
  {
    what: 'a type that is no server.json',
    method: 'POST',
    path: `${v1}/mcp-types`,
    send: { body: { name: 'x', packages: [{}] } },
    answer: [422, 'invalid_field'],
  },
  {
    what: 'a change of a type nobody knows',
    method: 'PATCH',
    path: `${v1}/mcp-types/nothing`,
    send: { body: { is_active: true } },
    answer: [404, 'not_found'],
  },
  {
    what: 'a type that would last no time',
    method: 'PATCH',
    path: () => `${v1}/mcp-types/${type}`,
    send: { body: { max_duration_minutes: 0 } },
    answer: [422, 'invalid_field', '/max_duration_minutes'],
  },
  {
    what: 'a type without its key',
    ...create(() => ({ mcp_type: needsKey })),
    answer: [422, 'api_key_required', '/mcp_type'],
  },
  ...[0, -1, 0.05, 61, 1e9].map((minutes) => ({
    what: `a duration of ${minutes}`,
    ...create(() => ({ mcp_type: type, duration_minutes: minutes })),
    answer: [422, 'invalid_field', '/duration_minutes'] as const,
  })),
  ...['60', null, [], {}, true].map((minutes) => ({
    what: `a duration of ${JSON.stringify(minutes)}`,
    ...create(() => ({ mcp_type: type, duration_minutes: minutes })),
    answer: [422, 'invalid_field', '/duration_minutes'] as const,
  })),
  {
    what: 'a duration too large for a number',
    ...raw('{"mcp_type":"x","duration_minutes":1e999}'),
    answer: [422, 'invalid_field', '/duration_minutes'],
  },
  {
    what: 'a name that is taken',
    ...create(() => ({ mcp_type: type, name: 'taken' })),
    answer: [409, 'name_taken', '/name'],
  },
  {
    what: 'a name with spaces',
    ...create(() => ({ mcp_type: type, name: 'a b' })),
    answer: [422, 'invalid_field', '/name'],
  },
  {
    what: 'a name of 64 letters',
    ...create(() => ({ mcp_type: type, name: 'a'.repeat(64) })),
    answer: [422, 'invalid_field', '/name'],
  },
  { what: 'no type', ...create(() => ({})), answer: [422, 'invalid_field', '/mcp_type'] },
  {
    what: 'a field there is not',
    ...create(() => ({ mcp_type: type, ttl: 5 })),
    answer: [422, 'invalid_field', '/ttl'],
  },
  {
    what: 'a config that is a list',
    ...create(() => ({ mcp_type: type, config: [] })),
    answer: [422, 'invalid_field', '/config'],
  },
  {
    what: 'NUL in a text',
    ...create(() => ({ mcp_type: 'a\0b' })),
    answer: [422, 'invalid_field', '/mcp_type'],
  },
  {
    what: 'a lone surrogate',
    ...raw('{"mcp_type":"x","config":{"a":["\\ud800"]}}'),
    answer: [422, 'invalid_field', '/config/a/0'],
  },
  {
    what: '__proto__',
    ...raw('{"mcp_type":"x","config":{"__proto__":{"a":1}}}'),
    answer: [422, 'invalid_field', '/config/__proto__'],
  },
  { what: 'a list for a body', ...create(() => []), answer: [400, 'malformed_request', ''] },
  { what: 'null for a body', ...create(() => null), answer: [400, 'malformed_request', ''] },
  { what: 'a text for a body', ...create(() => 'hello'), answer: [400, 'malformed_request', ''] },
  { what: 'no body', method: 'POST', path: `${v1}/instances`, answer: [400, 'malformed_request', ''] },
  { what: 'an empty body', ...raw(''), answer: [400, 'malformed_request', ''] },
  { what: 'half a body', ...raw('{"mcp_type":'), answer: [400, 'malformed_json'] },
  {
    what: 'a body that is not UTF-8',
    method: 'POST',
    path: `${v1}/instances`,
    send: { raw: Buffer.from([0x22, 0xff, 0x22]) },
    answer: [400, 'malformed_json'],
  },
  {
    what: 'nesting without end',
    ...raw(`{"mcp_type":"x","config":${'{"a":'.repeat(500)}1${'}'.repeat(501)}`),
    answer: [400, 'malformed_request'],
  },
  { what: 'a body too large', ...create(() => big), answer: [413, 'body_too_large'] },
  {
    what: 'a form',
    ...raw('a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
    answer: [415, 'unsupported_media_type'],
  },
  { what: 'text', ...raw('{}', { 'content-type': 'text/plain' }), answer: [415, 'unsupported_media_type'] },
  {
    what: 'a content type that is none',
    ...raw('{}', { 'content-type': ';;' }),
    answer: [415, 'unsupported_media_type'],
  },
  {
    what: 'an empty Idempotency-Key',
    ...raw(`{"mcp_type":"x"}`, { 'idempotency-key': ' ' }),
    answer: [400, 'malformed_request', '/headers/idempotency-key'],
  },

  { what: 'an id that is none', path: `${v1}/instances/1`, answer: [404, 'not_found'] },
  { what: 'an id with NUL', path: `${v1}/instances/%00`, answer: [404, 'not_found'] },
  { what: 'an id nobody has', path: `${v1}/instances/${unknown}`, answer: [404, 'not_found'] },
  { what: 'a path that cannot be decoded', path: `${v1}/instances/%zz`, answer: [400, 'malformed_request'] },
  {
    what: 'an id of 10,000 letters',
    path: `${v1}/instances/${'a'.repeat(10_000)}`,
    answer: [404, 'not_found'],
  },
  { what: 'an unknown path', path: '/nothing/here', answer: [404, 'not_found'] },
  {
    what: 'a method not offered',
    method: 'PATCH',
    path: `${v1}/instances`,
    answer: [405, 'method_not_allowed'],
  },
  {
    what: 'a list that is continued by a wrong cursor',
    ...asked('cursor=abc'),
    answer: [400, 'malformed_request', '/query/cursor'],
  },
  {
    what: 'a cursor with SQL',
    ...asked(`cursor=${Buffer.from('["2026-01-01 00:00:00","1\' OR 1"]').toString('base64url')}`),
    answer: [400, 'malformed_request', '/query/cursor'],
  },
  { what: 'limit 0', ...asked('limit=0'), answer: [400, 'malformed_request', '/query/limit'] },
  { what: 'limit 201', ...asked('limit=201'), answer: [400, 'malformed_request', '/query/limit'] },
  {
    what: 'a limit that is no number',
    ...asked('limit=ten'),
    answer: [400, 'malformed_request', '/query/limit'],
  },
  { what: 'two limits', ...asked('limit=1&limit=2'), answer: [400, 'malformed_request', '/query/limit'] },
  {
    what: 'a status there is not',
    ...asked('status=asleep'),
    answer: [400, 'malformed_request', '/query/status'],
  },
  {
    what: 'a query field there is not',
    ...asked('order=name'),
    answer: [400, 'malformed_request', '/query/order'],
  },
  { what: 'NUL in the query', ...asked('mcp_type=%00'), answer: [400, 'malformed_request'] },
  {
    what: 'a query where none is taken',
    path: `${v1}/me?x=1`,
    answer: [400, 'malformed_request', '/query/x'],
  },
  {
    what: 'a time that is none',
    path: () => `${v1}/instances/${instance}/logs?since=yesterday`,
    answer: [400, 'malformed_request', '/query/since'],
  },
  {
    what: 'an end before the beginning',
    path: () => `${v1}/instances/${instance}/logs?since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z`,
    answer: [422, 'invalid_field', '/query/until'],
  },
  {
    what: 'an export in no known format',
    path: () => `${v1}/instances/${instance}/logs/export?format=xml`,
    answer: [400, 'malformed_request', '/query/format'],
  },
  {
    what: 'a client nobody knows',
    path: () => `${v1}/instances/${instance}/client-config?client=emacs`,
    answer: [400, 'malformed_request', '/query/client'],
  },

  { what: 'an extension by nothing', ...extend({}), answer: [422, 'invalid_field', '/duration_minutes'] },
  {
    what: 'an extension by a negative time',
    ...extend({ duration_minutes: -5 }),
    answer: [422, 'invalid_field', '/duration_minutes'],
  },
  {
    what: 'an extension beyond the type',
    ...extend({ duration_minutes: 61 }),
    answer: [422, 'invalid_field', '/duration_minutes'],
  },
  {
    what: 'a renewal of what runs',
    method: 'POST',
    path: () => `${v1}/instances/${instance}/renew`,
    send: { body: {} },
    answer: [409, 'illegal_in_status'],
  },
  {
    what: 'a stop with something to say',
    method: 'POST',
    path: () => `${v1}/instances/${instance}/stop`,
    send: { body: { now: true } },
    answer: [422, 'invalid_field', '/now'],
  },

  {
    what: 'a key for an unknown type',
    method: 'PUT',
    path: `${v1}/api-keys/nothing`,
    send: { body: { api_key: 'k' } },
    answer: [404, 'not_found'],
  },
  {
    what: 'a key for a type that takes none',
    method: 'PUT',
    path: () => `${v1}/api-keys/${type}`,
    send: { body: { api_key: 'k' } },
    answer: [422, 'invalid_field', '/api_key'],
  },
  {
    what: 'an empty key',
    method: 'PUT',
    path: () => `${v1}/api-keys/${needsKey}`,
    send: { body: { api_key: '' } },
    answer: [422, 'invalid_field', '/api_key'],
  },
  {
    what: 'a key that is over',
    method: 'PUT',
    path: () => `${v1}/api-keys/${needsKey}`,
    send: { body: { api_key: 'k', expires_at: '2001-01-01T00:00:00Z' } },
    answer: [422, 'invalid_field', '/expires_at'],
  },
  {
    what: 'the removal of a key that is not there',
    method: 'DELETE',
    path: () => `${v1}/api-keys/${needsKey}`,
    answer: [404, 'not_found'],
  },

  {
    what: 'a user without an address',
    method: 'POST',
    path: `${v1}/users`,
    send: { body: { email: 'x', name: 'x' } },
    answer: [422, 'invalid_field', '/email'],
  },
  {
    what: 'a user nobody knows',
    method: 'PATCH',
    path: `${v1}/users/${unknown}`,
    send: { body: {} },
    answer: [404, 'not_found'],
  },
  {
    what: 'a token without a name',
    method: 'POST',
    path: `${v1}/tokens`,
    send: { body: {} },
    answer: [422, 'invalid_field', '/name'],
  },
  {
    what: 'a token with a scope there is not',
    method: 'POST',
    path: `${v1}/tokens`,
    send: { body: { name: 'x', scopes: ['root'] } },
    answer: [422, 'invalid_field', '/scopes/0'],
  },
  {
    what: 'a token for a network that is none',
    method: 'POST',
    path: `${v1}/tokens`,
    send: { body: { name: 'x', allowed_cidrs: ['10.0.0.0/33'] } },
    answer: [422, 'invalid_field', '/allowed_cidrs/0'],
  },
  {
    what: 'a token for a user nobody knows',
    method: 'POST',
    path: `${v1}/tokens`,
    send: { body: { name: 'x', user_id: unknown } },
    answer: [422, 'invalid_field', '/user_id'],
  },
  {
    what: 'a setting there is not',
    method: 'PUT',
    path: `${v1}/settings/nothing`,
    send: { body: { value: 1 } },
    answer: [404, 'not_found'],
  },
  {
    what: 'a setting with a wrong value',
    method: 'PUT',
    path: `${v1}/settings/mcp.drain_seconds`,
    send: { body: { value: 'soon' } },
    answer: [422, 'invalid_field', '/value'],
  },
  {
    what: 'a setting that contradicts another',
    method: 'PUT',
    path: `${v1}/settings/port.range_start`,
    send: { body: { value: 60_000 } },
    answer: [422, 'invalid_field', '/value'],
  },
  {
    what: 'a setting without a value',
    method: 'PUT',
    path: `${v1}/settings/mcp.drain_seconds`,
    send: { body: {} },
    answer: [422, 'invalid_field', '/value'],
  },
];

describe('refused', () => {
  it.each(cases)('$what', async ({ method = 'GET', path, send = {}, answer }) => {
    const options = typeof send === 'function' ? send() : send;
    const got = await house.send(method, typeof path === 'function' ? path() : path, options);
    expect([got.status, got.json?.code]).toEqual([answer[0], answer[1]]);
    if (answer[2] !== undefined)
      expect(got.json.errors.map(({ pointer }: { pointer: string }) => pointer)).toContain(answer[2]);
    expectProblem(got);
  });

  it('leaves nothing behind', async () => {
    const { db } = house.database;
    const [left] = await db.query<{ instances: number; ports: number }>(
      `SELECT (SELECT count(*) FROM mcp_instances) AS instances,
         (SELECT count(*) FROM port_allocations WHERE mcp_instance_id IS NOT NULL) AS ports`,
    );
    expect(left).toEqual({ instances: 1, ports: 1 });
  });

  it('with 405 says what is offered', async () => {
    const answer = await house.send('PUT', `${v1}/instances/${instance}`);
    expect(answer.headers.get('allow')).toBe('GET, DELETE');
  });

  it('quotas with 429, an empty pool with 503, both with Retry-After', async () => {
    const body = { mcp_type: type };
    const me = await house.user();
    await house.send('PATCH', `${v1}/users/${me.id}`, { body: { max_instances: 0 } });
    const quota = await house.send('POST', `${v1}/instances`, { token: me.token, body });
    expect([quota.status, quota.json.code]).toEqual([429, 'quota_exceeded']);
    expect(Number(quota.headers.get('retry-after'))).toBeGreaterThan(0);
    await using small = await openApi({ ports: 1 });
    const smallType = `type-${await addType(small.database.db)}`;
    const ask = () => small.send('POST', `${v1}/instances`, { body: { mcp_type: smallType } });
    expect((await ask()).status).toBe(201);
    const empty = await ask();
    expect([empty.status, empty.json.code]).toEqual([503, 'no_port_free']);
    expect(Number(empty.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

function expectProblem(answer: Answer): void {
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  const { json } = answer;
  expect(Object.keys(json).sort()).toEqual([
    'code',
    'detail',
    'errors',
    'request_id',
    'status',
    'title',
    'type',
  ]);
  const entry = errorRegistry[json.code as keyof typeof errorRegistry];
  expect([json.status, json.title]).toEqual([entry.status, entry.title]);
  expect(json.request_id).toBe(answer.headers.get('x-request-id'));
  expect(json.detail.length).toBeGreaterThan(0);
}

describe('raw HTTP', () => {
  const talk = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(Number(new URL(house.url).port), '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
      socket.setTimeout(5_000, () => socket.destroy());
    });
  const head = (...lines: string[]) =>
    `${['GET /api/v1/me HTTP/1.1', 'Host: x', 'Connection: close', ...lines].join('\r\n')}\r\n\r\n`;

  it.each([
    ['that is none', 'hello\r\n\r\n', 400],
    ['with headers too large', head(`X: ${'x'.repeat(20_000)}`), 431],
    ['with two Authorization headers', head('Authorization: Bearer a', 'Authorization: Bearer b'), 400],
  ])('%s is a problem too', async (_, bytes, status) => {
    const answer = await talk(bytes);
    expect(answer).toContain(`HTTP/1.1 ${status}`);
    expect(answer).toContain('application/problem+json');
    expect(answer).toContain('"code":"malformed_request"');
  });

  it('is refused by its token before its body is read', async () => {
    const answer = await talk(
      [
        'POST /api/v1/instances HTTP/1.1',
        'Host: x',
        'Content-Type: application/json',
        'Content-Length: 60000',
        'Connection: close',
        '',
        '{',
      ].join('\r\n'),
    );
    expect(answer).toContain('HTTP/1.1 401');
  });
});

describe('whatever is sent', () => {
  const routesWithBodies: readonly (readonly [string, () => string])[] = [
    ['POST', () => `${v1}/instances`],
    ['POST', () => `${v1}/instances/${instance}/extend`],
    ['POST', () => `${v1}/tokens`],
    ['POST', () => `${v1}/users`],
    ['PUT', () => `${v1}/settings/mcp.drain_seconds`],
    ['PUT', () => `${v1}/api-keys/${needsKey}`],
    ['PATCH', () => `${v1}/users/${unknown}`],
  ];
  const field = fc.constantFrom(
    ...['mcp_type', 'duration_minutes', 'name', 'config', 'api_key', 'expires_at', 'value', 'email', 'role'],
    ...[
      'scopes',
      'allowed_cidrs',
      'rate_limit_per_minute',
      'user_id',
      'max_instances',
      'disabled',
      '__proto__',
    ],
  );
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue()));

  it('as a body is never a failure of ours', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routesWithBodies), body, async ([method, path], value) => {
        const { status } = await house.send(method, path(), { raw: JSON.stringify(value) });
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });

  it('as a path, a query or a cursor is never a failure of ours', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        fc.constantFrom('cursor', 'status', 'limit', 'since', 'user_id', 'q', 'sort'),
        async (part, value, name) => {
          const escaped = encodeURIComponent(value.toWellFormed());
          for (const path of ['instances', 'events', 'ports', 'users', 'tokens']) {
            const { status } = await house.send('GET', `${v1}/${path}?${name}=${escaped}`);
            expect(status).toBeLessThan(500);
          }
          const { status } = await house.send(
            'GET',
            `${v1}/mcp-types/${encodeURIComponent(part.toWellFormed())}`,
          );
          expect(status).toBeLessThan(500);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('as a log query is never a failure of ours', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') }),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
        async (since, text) => {
          const q = encodeURIComponent(text);
          const path = `${v1}/instances/${instance}/logs?since=${since.toISOString()}&q=${q}`;
          expect((await house.send('GET', path)).status).toBe(text.includes('\0') ? 400 : 200);
        },
      ),
      { numRuns: 50 },
    );
  });
});
