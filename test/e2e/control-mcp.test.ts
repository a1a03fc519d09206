// The control API over MCP, as an agent meets it: real clients of both lines against a real supervisor, from the list of
// types to a tool of the instance that was asked for, and everything that is refused on the way.
import { request } from 'node:http';
import { Client as NewClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, InstanceWithToken, Problem } from '../../src/api/contract.ts';
import { connectSdk, inspector } from '../support/clients.ts';
import { runSuite } from '../support/conformance.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { startTokenProxy } from '../support/token-proxy.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 12 });
});
afterAll(() => daemon.dispose());

/** What the tests want of a client, whichever line it is of. */
interface Agent {
  listTools(): Promise<{ tools: { name: string; annotations?: object | undefined }[] }>;
  callTool(call: { name: string; arguments?: Record<string, unknown> }): Promise<Result>;
  close(): Promise<void>;
}

interface Result {
  readonly isError?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: what a result holds is what each test is about
  readonly structuredContent?: any;
  readonly content: { text?: string }[];
  readonly _meta?: { 'dev.minimcp/problem'?: Problem & { remedy: string } };
}

const endpoint = (token: string) => ({ access_url: `${daemon.url()}/mcp`, access_token: token });

async function agent(token: string, mode: 'sdk 1' | 'legacy' | 'auto' | { pin: string }): Promise<Agent> {
  const { access_url: url } = endpoint(token);
  if (mode === 'sdk 1') return (await connectSdk(endpoint(token))) as unknown as Agent;
  const client = new NewClient({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  const version = mode === 'legacy' ? '2025-11-25' : '2026-07-28';
  expect(client.getNegotiatedProtocolVersion()).toBe(version);
  return client as unknown as Agent;
}

async function call(client: Agent, name: string, args: Record<string, unknown> = {}): Promise<Result> {
  return client.callTool({ name, arguments: args });
}

async function refusal(client: Agent, name: string, args: Record<string, unknown> = {}) {
  const result = await call(client, name, args);
  expect(result.isError, JSON.stringify(result)).toBe(true);
  const problem = result._meta?.['dev.minimcp/problem'];
  expect(result.content[0]?.text).toContain(`${problem?.code}: `);
  expect(result.content[0]?.text).toContain(`what to do: ${problem?.remedy}`);
  return problem;
}

describe.each(['sdk 1', 'legacy', 'auto', { pin: '2026-07-28' }] as const)('an agent (%o)', (mode) => {
  it('asks for a server, uses it, and gives it back', async () => {
    const { token } = await daemon.user(`agent-${JSON.stringify(mode).replaceAll(/\W/g, '')}`);
    const client = await agent(token, mode);
    const { tools } = await client.listTools();
    expect(tools.find(({ name }) => name === 'remove_instance')?.annotations).toMatchObject({
      readOnlyHint: false,
      destructiveHint: true,
      idempotentHint: true,
    });
    expect(tools.find(({ name }) => name === 'list_types')?.annotations).toMatchObject({
      readOnlyHint: true,
      destructiveHint: false,
    });

    const types = await call(client, 'list_types');
    expect(types.structuredContent.data.map((type: { name: string }) => type.name)).toContain('everything');

    const asked = await call(client, 'ask_for_instance', { mcp_type: 'everything', duration_minutes: 5 });
    const instance: InstanceWithToken = asked.structuredContent;
    expect(instance.status).toBe('running');
    expect(asked.content[0]?.text).toContain(instance.access_token);

    const server = await connectSdk(instance);
    const echoed = await server.callTool({ name: 'echo', arguments: { message: 'mine' } });
    expect(echoed).toMatchObject({ content: [{ type: 'text', text: 'Echo: mine' }] });
    await server.close();

    const extended = await call(client, 'extend_instance', { id: instance.id, duration_minutes: 10 });
    expect(Date.parse(extended.structuredContent.expires_at)).toBeGreaterThan(
      Date.parse(instance.expires_at),
    );
    await expect
      .poll(
        async () => (await call(client, 'read_logs', { id: instance.id, limit: 5 })).structuredContent.data,
      )
      .not.toHaveLength(0);

    const listed = await call(client, 'list_instances');
    expect(listed.structuredContent.data).toMatchObject([{ id: instance.id, status: 'running' }]);
    expect(JSON.stringify(listed)).not.toContain(instance.access_token);
    const stopped = await call(client, 'stop_instance', { id: instance.id });
    expect(stopped.structuredContent.status).toBe('disconnected');
    const restored = await call(client, 'restore_instance', { id: instance.id });
    expect(restored.structuredContent.status).toBe('running');
    const removed = await call(client, 'remove_instance', { id: instance.id });
    expect(removed.structuredContent).toEqual({ id: instance.id, removed: true });
    await client.close();
  });
});

describe('what is refused', () => {
  it('tells a token without the scope so, as a tool error', async () => {
    const { id: userId } = await daemon.user('reader');
    const made = await daemon.call<{ api_token: string }>('POST', '/tokens', {
      ...{ name: 'read', user_id: userId, scopes: ['instances:read'] },
    });
    const client = await agent(made.body.data.api_token, 'auto');
    expect((await call(client, 'list_instances')).isError).toBeFalsy();
    for (const [name, args] of [
      ['ask_for_instance', { mcp_type: 'everything' }],
      ['stop_instance', { id: crypto.randomUUID() }],
    ] as const) {
      const problem = await refusal(client, name, args);
      expect(problem?.code).toBe('forbidden');
      expect(problem?.detail).toContain('instances:write');
    }
    await client.close();
  });

  it("does not know another user's instance", async () => {
    const [owner, other] = [await daemon.user('owner'), await daemon.user('other')];
    const { id } = await daemon.create({ mcp_type: 'everything', duration_minutes: 5 }, owner.token);
    const client = await agent(other.token, 'auto');
    for (const name of ['get_instance', 'stop_instance', 'remove_instance', 'read_logs', 'new_access_token'])
      expect((await refusal(client, name, { id }))?.code, name).toBe('not_found');
    expect((await daemon.get(id)).status).toBe('running');
    await client.close();
    await daemon.call('DELETE', `/instances/${id}`);
  });

  it('says of a quota that is used up what to do, and what the fields should be', async () => {
    const { token } = await daemon.user('small', { max_instances: 0 });
    const client = await agent(token, 'sdk 1');
    const quota = await refusal(client, 'ask_for_instance', { mcp_type: 'everything' });
    expect(quota).toMatchObject({ code: 'quota_exceeded', retry_after_seconds: 60 });
    expect(quota?.remedy).toContain('stop_instance');
    const unknown = await refusal(client, 'ask_for_instance', { mcp_type: 'nothing' });
    expect(unknown?.code).toBe('unknown_type');
    const field = await refusal(client, 'read_logs', { id: 'x', limit: 501 });
    expect(field?.code).toBe('invalid_field');
    expect(field?.errors.map(({ pointer }) => pointer)).toEqual(['/id', '/limit']);
    await expect(call(client, 'drain')).rejects.toThrow(/there is no tool "drain"/);
    await client.close();
  });

  const post = async (
    headers: Record<string, string>,
    body: string,
    method = 'POST',
  ): Promise<{ status: number; headers: Record<string, unknown>; text: string }> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(daemon.url());
      const sent = request({ hostname, port, path: '/mcp', method, headers }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
      });
      sent.on('error', reject);
      sent.end(method === 'POST' ? body : undefined);
    });
  const list = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

  it('is closed to what is no API token, and says how to come in', async () => {
    const instance = await daemon.create({ mcp_type: 'everything', duration_minutes: 5 });
    for (const token of [undefined, 'mmt_none', instance.access_token]) {
      const answer = await post({ ...json, ...(token && { authorization: `Bearer ${token}` }) }, list);
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
      expect(JSON.parse(answer.text).error.data.code).toBe('unauthorized');
    }
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('turns away foreign hosts and origins, before any token is looked at', async () => {
    const good = { ...json, authorization: `Bearer ${daemon.adminToken}` };
    const { port } = new URL(daemon.url());
    for (const [headers, status] of [
      [{ host: `localhost:${port}` }, 200],
      [{ host: 'attacker.example' }, 403],
      [{ host: `attacker.example:${port}` }, 403],
      [{ origin: daemon.url() }, 200],
      [{ origin: 'https://attacker.example' }, 403],
      [{ origin: 'null' }, 403],
    ] as const)
      expect((await post({ ...good, ...headers }, list)).status, JSON.stringify(headers)).toBe(status);
    expect((await post({ ...json, host: 'attacker.example' }, list)).status).toBe(403);
  });

  it('answers what it cannot read as JSON-RPC', async () => {
    const good = { ...json, authorization: `Bearer ${daemon.adminToken}` };
    for (const [body, status, code] of [
      ['{', 400, -32_700],
      ['', 400, -32_600],
      [`[${list}]`, 400, -32_600],
      [JSON.stringify({ text: 'x'.repeat(70_000) }), 413, -32_000],
      [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { a: '\0' } }), 422, -32_602],
    ] as const) {
      const answer = await post(good, body);
      expect([answer.status, JSON.parse(answer.text).error.code], body.slice(0, 20)).toEqual([status, code]);
    }
    for (const method of ['GET', 'DELETE']) expect((await post(good, '', method)).status).toBe(405);
  });

  it('has no OAuth for those who look for it: 404, and JSON', async () => {
    const walked = [
      ['GET', '/.well-known/oauth-protected-resource/mcp'],
      ['GET', '/.well-known/oauth-protected-resource'],
      ['GET', '/.well-known/oauth-authorization-server'],
      ['GET', '/.well-known/openid-configuration'],
      ['POST', '/register'],
    ] as const;
    for (const [method, path] of walked) {
      const answer = await fetch(`${daemon.url()}${path}`, { method });
      expect([answer.status, answer.headers.get('content-type')], path).toEqual([
        404,
        expect.stringContaining('json'),
      ]);
      await answer.json();
    }
  });
});

it('records who asked, from where and with what; no token is in the log', async () => {
  const user = await daemon.user('recorded');
  const client = await agent(user.token, 'sdk 1');
  const { structuredContent: instance } = await call(client, 'ask_for_instance', { mcp_type: 'everything' });
  await call(client, 'remove_instance', { id: instance.id });
  await client.close();
  const { body } = await daemon.call<EventView[]>('GET', '/events?limit=200');
  const created = body.data.find(
    (event) => event.mcp_instance_id === instance.id && event.event_type === 'created',
  );
  expect(created).toMatchObject({ actor_id: user.id, ip_address: '127.0.0.1', user_agent: 'node' });
  for (const secret of [user.token, instance.access_token, daemon.adminToken])
    expect(daemon.output.join('\n')).not.toContain(secret);
});

it.each([
  ['2025-11-25', ['dns-rebinding-protection', 'ping', 'server-initialize', 'tools-list'], []],
  [
    '2026-07-28',
    ['dns-rebinding-protection', 'http-header-validation', 'input-required-result-validate-input'],
    // The rest of it looks for tools of its own, and says so.
    ['server-stateless'],
  ],
] as const)(
  'passes what the conformance suite asks of any server (%s)',
  async (revision, whole, partly) => {
    await using proxy = await startTokenProxy(`${daemon.url()}/mcp`, daemon.adminToken);
    const reports = new Map((await runSuite(proxy.url, revision)).map((report) => [report.name, report]));
    for (const name of whole) {
      expect(reports.get(name)?.failures, name).toEqual([]);
      expect(reports.get(name)?.passed, name).toBeGreaterThan(0);
    }
    for (const name of partly) {
      const failures = reports.get(name)?.failures.filter((failure) => !failure.includes('Not testable'));
      expect(failures, name).toEqual([]);
      expect(reports.get(name)?.passed, name).toBeGreaterThan(20);
    }
  },
  120_000,
);

it('serves the Inspector, in both eras', async () => {
  const ask = ['--method', 'tools/call', '--tool-name', 'list_types', '--tool-arg', 'limit=1'];
  for (const era of ['legacy', 'modern', 'auto']) {
    const answer = await inspector(endpoint(daemon.adminToken), [...ask, '--protocol-era', era]);
    expect(JSON.stringify(answer), era).toContain('next_cursor');
  }
}, 60_000);
