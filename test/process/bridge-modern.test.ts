// Modern clients (2026-07-28) before a legacy child, one call at a time where every field can be seen. The official
// suite does the rest (test/e2e/conformance.test.ts).
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Answer,
  connectLegacy,
  type Endpoint,
  open,
  post,
  readAnswer,
  streamOf,
  toolText,
} from '../support/mcp-http.ts';
import { endpointOf, receivedBy, startRawShim } from '../support/raw-shim.ts';
import { type RunningShim, until } from '../support/shim-harness.ts';

const version = '2026-07-28';
const key = (name: string): string => `io.modelcontextprotocol/${name}`;
let nextId = 1;

interface Made {
  readonly body: { jsonrpc: string; id: number | string; method: string; params: Record<string, unknown> };
  readonly headers: Record<string, string>;
}

function make(
  method: string,
  params: Record<string, unknown> = {},
  meta: object = {},
  capabilities: object = {},
): Made {
  const _meta = { [key('protocolVersion')]: version, [key('clientCapabilities')]: capabilities, ...meta };
  const name = params.name ?? params.uri;
  const headers = {
    'MCP-Protocol-Version': version,
    'Mcp-Method': method,
    ...(typeof name === 'string' && { 'Mcp-Name': name }),
  };
  return { body: { jsonrpc: '2.0', id: nextId++, method, params: { ...params, _meta } }, headers };
}

let shim: RunningShim;
let endpoint: Endpoint;
beforeEach(async () => {
  shim = await startRawShim({ inFlightMax: 20, sessionIdleMs: 60_000 });
  endpoint = endpointOf(shim);
});
afterEach(() => shim.dispose());

const send = ({ body, headers }: Made): Promise<Answer> => post(endpoint, body, headers);
const call = (name: string, given: object = {}, meta?: object, capabilities?: object, more: object = {}) =>
  send(make('tools/call', { name, arguments: given, ...more }, meta, capabilities));
const inFlight = (count: number) =>
  until(async () => ((await shim.state()).inFlight === count ? true : undefined), `${count} in flight`);
const received = async () => (await receivedBy(await connectLegacy(endpoint))).received;

describe('discovery', () => {
  it('says what the child said to initialize', async () => {
    const { status, messages } = await send(make('server/discover'));
    expect(status).toBe(200);
    expect(messages[0].result).toMatchObject({
      resultType: 'complete',
      supportedVersions: [version, '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'],
      capabilities: { tools: { listChanged: true } },
      instructions: 'Be raw',
      ttlMs: 0,
      cacheScope: 'private',
      _meta: { [key('serverInfo')]: { name: 'raw-child', version: '1.0.0' } },
    });
  });
});

describe('a call', () => {
  it('reaches the child without its envelope, and its result says what it is', async () => {
    const answer = await call(
      'echo',
      { a: 1 },
      { traceparent: '00-x', [key('clientInfo')]: { name: 'c', version: '1' } },
    );
    expect(answer.messages[0].result).toEqual({
      resultType: 'complete',
      _meta: { [key('serverInfo')]: { name: 'raw-child', version: '1.0.0' } },
      content: [{ type: 'text', text: '{"a":1}' }],
    });
    const seen = (await received()).find(({ params }) => params?.name === 'echo');
    expect(seen.params).toEqual({ name: 'echo', arguments: { a: 1 }, _meta: { traceparent: '00-x' } });
    const list = await send(make('tools/list'));
    expect(list.messages[0].result).toMatchObject({
      ttlMs: 0,
      cacheScope: 'private',
      resultType: 'complete',
    });
  });

  it('keeps what the child says of its result itself, whatever its shape', async () => {
    const lines = [
      '{"jsonrpc":"2.0","id":ID,"result":{"content":[],"_meta":{"own":1}}}',
      '{"id":ID,"result":{},"jsonrpc":"2.0"}',
      '{"result":{},"jsonrpc":"2.0","id":ID}',
      '{ "jsonrpc":"2.0", "id":ID, "result":{ "content":[], "resultType":"complete" } }',
      `{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"${'x'.repeat(200_000)}"}],"_meta":{"own":1}}}`,
    ];
    for (const line of lines) {
      const { result } = (await call('answerRaw', { line })).messages[0];
      expect(result.resultType).toBe('complete');
      expect(result._meta[key('serverInfo')].name).toBe('raw-child');
      if (line.includes('"own"')) expect(result._meta.own).toBe(1);
    }
  });

  it('has errors under the numbers of the revision', async () => {
    const error = (code: number) =>
      call('answerRaw', {
        line: `{"jsonrpc":"2.0","id":ID,"error":{"code":${code},"message":"m","data":{"d":1}}}`,
      });
    for (const [code, status, made] of [
      [-32002, 200, -32602],
      [-32601, 404, -32601],
      [-32050, 200, -32603],
      [-32001, 200, -32001],
      [42, 200, 42],
    ] as const) {
      const answer = await error(code);
      expect([answer.status, answer.messages[0].error]).toEqual([
        status,
        { code: made, message: 'm', data: { d: 1 } },
      ]);
    }
    for (const method of [
      'initialize',
      'ping',
      'logging/setLevel',
      'resources/subscribe',
      'tasks/get',
      'no/such',
    ])
      expect([method, (await send(make(method))).status]).toEqual([method, 404]);
  });

  it('gets progress and the messages it asked for, on a stream', async () => {
    const progress = await call('progress', { steps: 2 }, { progressToken: 'mine' });
    expect(progress.messages.map(({ params }) => params?.progressToken)).toEqual(['mine', 'mine', undefined]);
    expect(progress.text).not.toContain('id: ');
    const log = { method: 'notifications/message', params: { level: 'warning', data: 'x' } };
    expect((await call('notify', log)).messages).toHaveLength(1);
    expect((await call('notify', log, { [key('logLevel')]: 'error' })).messages).toHaveLength(1);
    expect((await call('notify', log, { [key('logLevel')]: 'info' })).messages[0]).toMatchObject(log);
    const levels = (await received())
      .filter(({ method }) => method === 'logging/setLevel')
      .map(({ params }) => params.level);
    expect(levels).toEqual(['error', 'info']);
  });

  it('is cancelled by closing its connection', async () => {
    const { body, headers } = make('tools/call', { name: 'never', arguments: {} });
    const outgoing = open(endpoint, 'POST', JSON.stringify(body), headers);
    outgoing.catch(() => {});
    const socket = await rawPost(body, headers);
    await inFlight(2);
    socket.destroy();
    await inFlight(1);
    const seen = await received();
    const cancelled = seen.filter(({ method }) => method === 'notifications/cancelled');
    expect(cancelled).toHaveLength(1);
    expect(seen.find(({ id }) => id === cancelled[0].params.requestId).params.name).toBe('never');
  });

  it('that is refused costs the child nothing', async () => {
    const before = (await received()).length;
    const { body, headers } = make('tools/call', { name: 'echo', arguments: {} });
    const wrong: [Record<string, unknown>, Record<string, string>, number][] = [
      [{}, { 'Mcp-Method': 'tools/list' }, -32020],
      [{}, { 'Mcp-Name': 'other' }, -32020],
      [{}, { 'Mcp-Name': '=?base64?!!?=' }, -32020],
      [{}, { 'MCP-Protocol-Version': '2027-01-01' }, -32020],
      [{ [key('protocolVersion')]: '2027-01-01' }, { 'MCP-Protocol-Version': '2027-01-01' }, -32022],
      [{ [key('protocolVersion')]: 5 }, {}, -32602],
      [{ [key('clientCapabilities')]: undefined }, {}, -32602],
      [{ [key('logLevel')]: 'loud' }, {}, -32602],
    ];
    for (const [meta, changed, code] of wrong) {
      const params = { ...body.params, _meta: { ...(body.params._meta as object), ...meta } };
      const answer = await post(endpoint, { ...body, params }, { ...headers, ...changed });
      expect([meta, changed, answer.status, answer.messages[0].error.code]).toEqual([
        meta,
        changed,
        400,
        code,
      ]);
      expect(answer.messages[0].id).toBe(body.id);
    }
    for (const name of ['mcp-method', 'mcp-name', 'mcp-protocol-version']) {
      const without = Object.fromEntries(
        Object.entries(headers).filter(([header]) => header.toLowerCase() !== name),
      );
      expect((await post(endpoint, body, without)).messages[0].error.code).toBe(-32020);
    }
    expect((await received()).length).toBe(before + 1);
    const encoded = `=?base64?${Buffer.from('echo').toString('base64')}?=`;
    expect((await post(endpoint, body, { ...headers, 'Mcp-Name': encoded })).status).toBe(200);
  });

  it('needs no GET, no DELETE and no session', async () => {
    for (const method of ['GET', 'DELETE']) {
      const answer = await readAnswer(
        await open(endpoint, method, null, { 'MCP-Protocol-Version': version }),
      );
      expect([answer.status, answer.headers.allow]).toEqual([405, 'POST']);
    }
    const { body, headers } = make('tools/list');
    const answer = await post(endpoint, body, { ...headers, 'Mcp-Session-Id': 'whatever' });
    expect([answer.status, answer.headers['mcp-session-id']]).toEqual([200, undefined]);
    const note = { jsonrpc: '2.0', method: 'notifications/mine', params: {} };
    expect((await post(endpoint, note, { 'MCP-Protocol-Version': version })).status).toBe(202);
    expect(
      (await post(endpoint, { jsonrpc: '2.0', id: 1, result: {} }, { 'MCP-Protocol-Version': version }))
        .status,
    ).toBe(400);
  });
});

describe('a question of the child', () => {
  const able = { elicitation: {}, sampling: {}, roots: {} };
  const ask = {
    method: 'elicitation/create',
    params: { mode: 'form', message: 'Well?', requestedSchema: { type: 'object' } },
  };

  it('ends the request with what is asked; the retry answers the child, which has waited', async () => {
    const first = (await call('ask', ask, {}, able)).messages[0].result;
    expect(first).toMatchObject({ resultType: 'input_required', inputRequests: { elicitation_1: ask } });
    const inputResponses = { elicitation_1: { action: 'accept', content: { a: 1 } }, unknown: { b: 2 } };
    const { requestState } = first;
    const second = await call('ask', ask, {}, able, { inputResponses, requestState });
    expect(second.messages[0].result.resultType).toBe('complete');
    expect(JSON.parse(toolText(second)).result).toEqual({ action: 'accept', content: { a: 1 } });
    expect((await received()).filter(({ params }) => params?.name === 'ask')).toHaveLength(1);
    // Good once.
    const third = await call('ask', ask, {}, able, { inputResponses, requestState });
    expect(third.messages[0].error.code).toBe(-32602);
  });

  it('is asked again while it is not answered, and never of another request', async () => {
    const { requestState } = (await call('ask', ask, {}, able)).messages[0].result;
    expect((await call('echo', {}, {}, able, { requestState })).messages[0].error.code).toBe(-32602);
    expect(
      (await call('ask', ask, {}, able, { requestState: `${requestState}x` })).messages[0].error.code,
    ).toBe(-32602);
    for (const inputResponses of [5, null, [], { elicitation_1: 5 }])
      expect(
        (await call('ask', ask, {}, able, { requestState, inputResponses })).messages[0].error.code,
      ).toBe(-32602);
    const again = (await call('ask', ask, {}, able, { requestState, inputResponses: { other: {} } }))
      .messages[0].result;
    expect(again).toMatchObject({ resultType: 'input_required', inputRequests: { elicitation_1: ask } });
    expect(again.requestState).not.toBe(requestState);
    const done = await call('ask', ask, {}, able, {
      requestState: again.requestState,
      inputResponses: { elicitation_1: { action: 'cancel' } },
    });
    expect(JSON.parse(toolText(done)).result).toEqual({ action: 'cancel' });
  });

  it('a client cannot answer is an error to the child, and told the client when the child gives up over it', async () => {
    const answer = await call('ask', ask, {}, {});
    expect(JSON.parse(toolText(answer)).error.code).toBe(-32601);
    expect(answer.status).toBe(200);
  });

  it('does not keep others from asking while it waits', async () => {
    await call('ask', ask, {}, able);
    expect((await call('ask', ask, {}, able)).messages[0].result.resultType).toBe('input_required');
  });

  it('is given up when the instance ends', async () => {
    await call('ask', ask, {}, able);
    expect((await shim.state()).inFlight).toBe(1);
    const record = await shim.stop('user', { drainMs: 20_000, graceMs: 1_000 });
    expect(record.reason).toBe('user');
  });
});

describe('subscriptions/listen', () => {
  const listen = async (notifications: object) => {
    const { body, headers } = make('subscriptions/listen', { notifications });
    return { id: body.id, stream: streamOf(await open(endpoint, 'POST', JSON.stringify(body), headers)) };
  };
  const tag = (message: { params: { _meta: Record<string, unknown> } }) =>
    message.params._meta[key('subscriptionId')];

  it('is acknowledged first, tagged, and gets what it asked for', async () => {
    const { id, stream } = await listen({ toolsListChanged: true, resourceSubscriptions: ['file:///a'] });
    const acknowledged = await stream.message(
      ({ method }) => method === 'notifications/subscriptions/acknowledged',
    );
    expect(acknowledged.params.notifications).toEqual({
      toolsListChanged: true,
      resourceSubscriptions: ['file:///a'],
    });
    expect(tag(acknowledged)).toBe(id);
    for (const [method, params] of [
      ['prompts/list_changed', {}],
      ['resources/updated', { uri: 'file:///b' }],
      ['resources/updated', { uri: 'file:///a' }],
      ['tools/list_changed', {}],
    ] as const)
      await call('notify', { method: `notifications/${method}`, params });
    const last = await stream.message(({ method }) => method === 'notifications/tools/list_changed');
    expect(tag(last)).toBe(id);
    expect(stream.events.map(({ data }) => JSON.parse(data).method.slice(14))).toEqual([
      'subscriptions/acknowledged',
      'resources/updated',
      'tools/list_changed',
    ]);
    expect((await shim.state()).inFlight).toBe(0);
    stream.close();
    await until(
      async () =>
        (await received()).some(({ method }) => method === 'resources/unsubscribe') ? true : undefined,
      'the child to be unsubscribed',
    );
  });

  it('shares the child with legacy sessions, subscribed once', async () => {
    const uri = 'file:///shared';
    const session = await connectLegacy(endpoint);
    await session.request('resources/subscribe', { uri });
    const { stream } = await listen({ resourceSubscriptions: [uri] });
    await stream.message(() => true);
    await session.request('resources/unsubscribe', { uri });
    await call('notify', { method: 'notifications/resources/updated', params: { uri } });
    await stream.message(({ method }) => method === 'notifications/resources/updated');
    const seen = (await received())
      .filter(({ method }) => method?.startsWith('resources/'))
      .map(({ method }) => method);
    expect(seen).toEqual(['resources/subscribe']);
    stream.close();
  });

  it('ends with a result when nothing of it can be served, and when the child dies', async () => {
    const none = await listen({});
    expect((await none.stream.message(({ id }) => id === none.id)).result.resultType).toBe('complete');
    await none.stream.ended;
    const { id, stream } = await listen({ toolsListChanged: true });
    await stream.message(() => true);
    void call('die').catch(() => {});
    expect((await stream.message((message) => message.id === id)).result._meta[key('subscriptionId')]).toBe(
      id,
    );
    await stream.ended;
  });

  it('is refused without a filter', async () => {
    const { body, headers } = make('subscriptions/listen');
    expect((await post(endpoint, body, headers)).messages[0].error.code).toBe(-32602);
  });
});

function rawPost(body: object, headers: Record<string, string>) {
  const { port } = new URL(endpoint.url);
  const text = JSON.stringify(body);
  return import('node:net').then(({ connect }) => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    const lines = Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    socket.write(
      `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${endpoint.token}\r\nContent-Type: application/json\r\n${lines}Content-Length: ${text.length}\r\n\r\n${text}`,
    );
    return socket;
  });
}
