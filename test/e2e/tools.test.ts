// Tools of an instance seen and tried through the API and the command line, on a real daemon: who may, what comes back,
// what is written down, and that the owner's own token has no part in it.

import { readFileSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, InstanceWithToken, ToolResultView, ToolView } from '../../src/api/contract.ts';
import { connectSdk } from '../support/clients.ts';
import { commandLine } from '../support/command-line.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { ownShim } from '../support/store.ts';
import { addProgramType, answersThen } from '../support/types.ts';

let daemon: Daemon;
let instance: InstanceWithToken;
let owner: { id: string; token: string };
beforeAll(async () => {
  daemon = await startDaemon();
  owner = await daemon.user('owner');
  instance = await daemon.create({ mcp_type: 'everything', duration_minutes: 20, name: 'try' }, owner.token);
});
afterAll(() => daemon.dispose());

const toolsOf = (id: string, token = owner.token) =>
  daemon.call<ToolView[]>('GET', `/instances/${id}/tools`, undefined, token);
const call = (id: string, name: string, given?: unknown, token = owner.token) =>
  daemon.call<ToolResultView>(
    'POST',
    `/instances/${id}/tools/${encodeURIComponent(name)}/call`,
    given === undefined ? {} : { arguments: given },
    token,
  );

describe('the tools of an instance', () => {
  it('are listed as its server names them', async () => {
    const { status, body } = await toolsOf(instance.id);
    expect(status).toBe(200);
    expect(body).toMatchObject({ meta: { next_cursor: null, server_time: expect.any(String) } });
    expect(body.data.find(({ name }) => name === 'echo')).toMatchObject({
      description: expect.any(String),
      input_schema: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
    });
  });

  it('are called, and the call is activity', async () => {
    const before = await daemon.call<{ requests: number }>('GET', `/instances/${instance.id}/stats`);
    const { status, body } = await call(instance.id, 'echo', { message: 'hi' });
    expect([status, body.data]).toEqual([
      200,
      { content: [{ type: 'text', text: 'Echo: hi' }], is_error: false },
    ]);
    const weather = await call(instance.id, 'get-structured-content', { location: 'Chicago' });
    expect(weather.body.data.structured_content).toMatchObject({ temperature: expect.any(Number) });
    const requests = async () =>
      (await daemon.call<{ requests: number }>('GET', `/instances/${instance.id}/stats`)).body.data.requests;
    await expect.poll(requests, { timeout: 40_000 }).toBeGreaterThan(before.body.data.requests);
    expect((await daemon.get(instance.id)).last_accessed).not.toBeNull();
  }, 60_000);

  it('fail as their server says: that is a result', async () => {
    const wrong = await call(instance.id, 'get-sum', { a: 'x' });
    expect([wrong.status, wrong.body.data.is_error]).toEqual([200, true]);
    const unknown = await call(instance.id, 'no/such tool', {});
    expect([unknown.status, unknown.body.data.is_error]).toEqual([200, true]);
    expect(JSON.stringify(unknown.body.data.content)).toMatch(/not found/i);
  });

  it('take an object as arguments, and nothing else', async () => {
    for (const given of [[], 'x', 7])
      expect((await call(instance.id, 'echo', given)).body).toMatchObject({ code: 'invalid_field' });
    const long = await call(instance.id, 'x'.repeat(201));
    expect([long.status, long.body.code]).toEqual([404, 'not_found']);
  });

  it('are those of whoever may see the instance, and called with the scope for it', async () => {
    const stranger = await daemon.user('stranger');
    for (const answer of [
      await toolsOf(instance.id, stranger.token),
      await call(instance.id, 'echo', {}, stranger.token),
    ])
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    const reader = await daemon.call<{ api_token: string }>(
      'POST',
      '/tokens',
      { name: 'r', scopes: ['instances:read'] },
      owner.token,
    );
    const { api_token: token } = reader.body.data;
    expect((await toolsOf(instance.id, token)).status).toBe(200);
    const refused = await call(instance.id, 'echo', { message: 'x' }, token);
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
    expect((await toolsOf(instance.id, daemon.adminToken)).status).toBe(200);
  });

  it('are tried without any change to the token of their owner', async () => {
    const client = await connectSdk(instance);
    const calls = await Promise.all(
      Array.from({ length: 4 }, async (_, at) => [
        (await call(instance.id, 'echo', { message: `v${at}` })).body.data.content[0]?.text,
        (
          (await client.callTool({ name: 'echo', arguments: { message: `o${at}` } })).content as {
            text: string;
          }[]
        )[0]?.text,
      ]),
    );
    expect(calls).toEqual([0, 1, 2, 3].map((at) => [`Echo: v${at}`, `Echo: o${at}`]));
    await client.close();
    expect((await (await connectSdk(instance)).listTools()).tools.length).toBeGreaterThan(5);
  });

  it('leave an event that names the tool, and none of its arguments', async () => {
    await call(instance.id, 'echo', { message: 'a-secret-of-mine' });
    const events = await daemon.call<EventView[]>(
      'GET',
      `/instances/${instance.id}/events`,
      undefined,
      owner.token,
    );
    const tried = events.body.data.filter(({ event_type: type }) => type === 'tool_tried');
    expect(tried[0]).toMatchObject({
      event_data: { tool: 'echo' },
      actor_id: owner.id,
      ip_address: '127.0.0.1',
    });
    expect(tried[0]?.user_agent).toEqual(expect.any(String));
    const everything = await daemon.database.db.query(
      'SELECT row_to_json(e)::text AS text FROM mcp_events e',
    );
    expect(JSON.stringify(everything)).not.toContain('a-secret-of-mine');
    expect(daemon.output.join('\n')).not.toContain('a-secret-of-mine');
  });

  it('are let go of when whoever asked goes away', async () => {
    const end = new AbortController();
    const long = fetch(
      `${daemon.url()}/api/v1/instances/${instance.id}/tools/trigger-long-running-operation/call`,
      {
        method: 'POST',
        signal: end.signal,
        headers: { authorization: `Bearer ${owner.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ arguments: { duration: 300, steps: 2 } }),
      },
    ).catch((error: Error) => error.name);
    const inFlight = async () =>
      (await daemon.call<{ in_flight: number }>('GET', `/instances/${instance.id}/stats`)).body.data
        .in_flight;
    await expect.poll(inFlight, { timeout: 40_000 }).toBeGreaterThan(0);
    end.abort();
    expect(await long).toBe('AbortError');
    await expect.poll(inFlight, { timeout: 40_000 }).toBe(0);
  }, 90_000);
});

describe('visits', () => {
  it('are eight at once, and end with whoever asked', async () => {
    const end = new AbortController();
    const path = `/api/v1/instances/${instance.id}/tools/trigger-long-running-operation/call`;
    const calls = Array.from({ length: 9 }, () =>
      fetch(`${daemon.url()}${path}`, {
        method: 'POST',
        signal: end.signal,
        headers: { authorization: `Bearer ${owner.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ arguments: { duration: 300, steps: 2 } }),
      }).catch(() => undefined),
    );
    const refused = await Promise.race(calls);
    expect([refused?.status, refused?.headers.get('retry-after')]).toEqual([429, '2']);
    expect(await refused?.json()).toMatchObject({ code: 'rate_limited' });
    const client = await connectSdk(instance);
    expect((await client.listTools()).tools.length).toBeGreaterThan(5);
    await client.close();
    end.abort();
    await Promise.all(calls);
    await expect.poll(async () => (await toolsOf(instance.id)).status, { timeout: 20_000 }).toBe(200);
  }, 60_000);
});

describe('minimcp', () => {
  const line = (args: readonly string[], input?: string) =>
    commandLine(args, { url: daemon.url(), token: owner.token, ...(input === undefined ? {} : { input }) });

  it('tools lists them, call calls one', async () => {
    const listed = await line(['tools', 'try']);
    expect(listed.out).toMatch(/^TOOL +ARGUMENTS +WHAT IT DOES\n/);
    expect(listed.out).toMatch(/\necho +message +\S/);
    expect(await line(['call', 'try', 'echo', '--arguments', '{"message":"hi"}'])).toEqual({
      code: 0,
      out: 'Echo: hi\n',
      err: '',
    });
    expect((await line(['call', 'try', 'echo', '--arguments', '-'], '{"message":"in"}\n')).out).toBe(
      'Echo: in\n',
    );
    const document = await line(['call', 'try', 'get-sum', '--arguments', '{"a":2,"b":3}', '--json']);
    expect(JSON.parse(document.out)).toMatchObject({ is_error: false, content: [{ type: 'text' }] });
    expect((await line(['call', 'try', 'get-tiny-image'])).out).toMatch(/\[image, image\/png, [\d.]+ KiB\]/);
    expect(await line(['call', 'try', 'get-sum'])).toMatchObject({
      code: 1,
      err: '',
      out: expect.stringContaining('-32602'),
    });
    const wrong = await line(['call', 'try', 'echo', '--arguments', 'hi']);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('not JSON')]);
  });
});

describe('an instance that cannot be visited', () => {
  it('because it does not run, says what brings it back', async () => {
    const other = await daemon.create(
      { mcp_type: 'memory', duration_minutes: 10, idle_minutes: 0.02 },
      owner.token,
    );
    await daemon.until(other.id, 'disconnected');
    const asleep = await call(other.id, 'read_graph');
    expect([asleep.status, asleep.body.code]).toEqual([409, 'illegal_in_status']);
    expect(asleep.body.detail).toMatch(/sleeps: restore it/);
    await daemon.call('POST', `/instances/${other.id}/restore`, {}, owner.token);
    expect((await toolsOf(other.id)).body.data.map(({ name }) => name)).toContain('read_graph');
    await daemon.call('POST', `/instances/${other.id}/stop`, {}, owner.token);
    expect((await toolsOf(other.id)).body).toMatchObject({
      code: 'illegal_in_status',
      detail: expect.stringMatching(/restore it/),
    });
    await daemon.call('DELETE', `/instances/${other.id}`, undefined, owner.token);
    expect((await toolsOf(other.id)).body.code).toBe('not_found');
  }, 60_000);

  it('because its shim is older than visitors, says that a restart brings it', async () => {
    await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy' });
    const file = await ownShim(daemon.dataDir);
    const text = readFileSync(file, 'utf8');
    const older = text.replace('case"visitor":', 'case"visitor-unknown":');
    expect(older).not.toBe(text);
    const replace = async (content: string) => {
      writeFileSync(`${file}.new`, content, { mode: 0o644 });
      await rename(`${file}.new`, file);
    };
    await replace(older);
    const old = await daemon.create({ mcp_type: 'tiny', duration_minutes: 10 }, owner.token);
    await replace(text);
    const refused = await toolsOf(old.id);
    expect([refused.status, refused.body.code]).toEqual([409, 'restart_required']);
    await daemon.call('POST', `/instances/${old.id}/restart`, {}, owner.token);
    expect((await toolsOf(old.id)).body.data).toEqual([]);
  }, 60_000);
});
