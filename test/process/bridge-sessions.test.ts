// Legacy clients on one child: sessions come and go, ids are everyone's own, the child is one and the same.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectLegacy, type Endpoint, open, post, readAnswer, toolText } from '../support/mcp-http.ts';
import { endpointOf, receivedBy, startRawShim } from '../support/raw-shim.ts';
import { type RunningShim, until } from '../support/shim-harness.ts';

let shim: RunningShim;
let endpoint: Endpoint;
beforeAll(async () => {
  shim = await startRawShim();
  endpoint = endpointOf(shim);
});
afterAll(() => shim.dispose());

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

describe('sessions', () => {
  it('are answered from the one initialize, in the version the client asked for', async () => {
    for (const version of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']) {
      const { initialized } = await connectLegacy(endpoint, {}, version);
      expect(initialized.result).toMatchObject({
        protocolVersion: version,
        serverInfo: { name: 'raw-child' },
        instructions: 'Be raw',
      });
    }
    const params = {
      protocolVersion: '1999-01-01',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const answer = await post(endpoint, { jsonrpc: '2.0', id: 'a', method: 'initialize', params });
    expect(answer.messages[0]).toMatchObject({ id: 'a', result: { protocolVersion: '2025-11-25' } });
    const { received } = await receivedBy(await connectLegacy(endpoint));
    expect(received.filter(({ method }) => method === 'initialize')).toHaveLength(1);
    expect(received.filter(({ method }) => method === 'notifications/initialized')).toHaveLength(1);
  });

  it('are needed, known, and gone after DELETE', async () => {
    expect((await post(endpoint, ping)).status).toBe(400);
    expect((await post(endpoint, ping, { 'Mcp-Session-Id': 'nobody' })).status).toBe(404);
    expect((await readAnswer(await open(endpoint, 'GET', null))).status).toBe(400);
    const { headers } = await connectLegacy(endpoint);
    expect((await post(endpoint, ping, headers)).messages).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }]);
    const stream = await open(endpoint, 'GET', null, headers);
    expect((await readAnswer(await open(endpoint, 'DELETE', null, headers))).status).toBe(200);
    await readAnswer(stream);
    expect((await post(endpoint, ping, headers)).status).toBe(404);
    expect((await readAnswer(await open(endpoint, 'DELETE', null, headers))).status).toBe(404);
  });

  it('refuse a version header nobody supports', async () => {
    const { headers } = await connectLegacy(endpoint);
    const answer = await post(endpoint, ping, { ...headers, 'MCP-Protocol-Version': '2030-13-99' });
    expect(answer.status).toBe(400);
    const { 'MCP-Protocol-Version': _, ...without } = headers;
    expect((await post(endpoint, ping, without)).status).toBe(200);
  });

  it('are initialized once', async () => {
    const client = await connectLegacy(endpoint);
    expect((await post(endpoint, { jsonrpc: '2.0', id: 3, method: 'initialize' })).status).toBe(200);
    const again = await client.request('logging/setLevel', { level: 'nonsense' });
    expect(again.status).toBe(200);
  });
});

describe('ids', () => {
  it('may be the same in two sessions at once, text or number', async () => {
    const clients = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    const ids = [1, 'one', 0, -7, 9_007_199_254_740_991, 'ümlaut "quoted" \\', ''];
    const answers = await Promise.all(
      clients.flatMap((client, at) =>
        ids.map(async (id) => {
          const answer = await client.request('tools/call', { name: 'echo', arguments: { at } }, id);
          return [answer.messages[0].id, JSON.parse(toolText(answer))];
        }),
      ),
    );
    expect(answers).toEqual(clients.flatMap((_, at) => ids.map((id) => [id, { at }])));
    const { received } = await receivedBy(clients[0] as never);
    const seen = received.filter(({ id }) => id !== undefined).map(({ id }) => id);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('are refused when they are null, fractions, or more than a double can hold', async () => {
    const { headers } = await connectLegacy(endpoint);
    for (const id of [
      'null',
      '1.5',
      '1e300',
      '9007199254740993',
      '{}',
      '[]',
      'true',
      `"${'x'.repeat(2_000)}"`,
    ]) {
      const answer = await post(endpoint, `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`, headers);
      expect([id, answer.status, answer.messages[0].error.code]).toEqual([id, 400, -32600]);
    }
  });

  it('stay where they were when nothing is an object, a method or a message', async () => {
    const { headers } = await connectLegacy(endpoint);
    for (const body of [
      '1',
      '"x"',
      'null',
      '{}',
      '{"jsonrpc":"1.0","id":1,"method":"x"}',
      '{"jsonrpc":"2.0","id":1}',
      '{"jsonrpc":"2.0","method":"x","params":1}',
      '{"jsonrpc":"2.0","id":1,"result":1,"error":{}}',
    ])
      expect([body, (await post(endpoint, body, headers)).status]).toEqual([body, 400]);
    for (const body of ['', '{', '{"a":1}}', 'undefined', '\u0000'])
      expect([body, (await post(endpoint, body, headers)).messages[0].error.code]).toEqual([body, -32700]);
  });
});

describe('batches', () => {
  const batch = [
    { jsonrpc: '2.0', id: 'a', method: 'tools/call', params: { name: 'echo', arguments: { n: 1 } } },
    { jsonrpc: '2.0', method: 'notifications/whatever' },
    { jsonrpc: '2.0', id: 'b', method: 'ping' },
  ];

  it('are for 2025-03-26 alone', async () => {
    const old = await connectLegacy(endpoint, {}, '2025-03-26');
    const answer = await post(endpoint, batch, { 'Mcp-Session-Id': old.sessionId });
    expect(answer.messages.map(({ id }) => id).sort()).toEqual(['a', 'b']);
    expect((await post(endpoint, [batch[1]], old.headers)).status).toBe(202);
    expect((await post(endpoint, [], old.headers)).status).toBe(400);
    expect((await post(endpoint, [...batch, 1], old.headers)).status).toBe(400);
    for (const version of ['2025-06-18', '2025-11-25']) {
      const { headers } = await connectLegacy(endpoint, {}, version);
      expect((await post(endpoint, batch, headers)).messages[0].error.code).toBe(-32600);
    }
  });
});

describe('the child', () => {
  it('lives on when two hundred sessions end and as many clients vanish, and stays the same one', async () => {
    const pid = toolText(await (await connectLegacy(endpoint)).call('pid'));
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(
        Array.from({ length: 10 }, async (_, at) => {
          const client = await connectLegacy(endpoint);
          await client.call('echo', { round });
          if (at % 2 === 0) (await client.listen()).close();
          else await readAnswer(await open(endpoint, 'DELETE', null, client.headers));
        }),
      );
    }
    expect(toolText(await (await connectLegacy(endpoint)).call('pid'))).toBe(pid);
    expect(shim.processes()).toEqual([Number(pid)]);
    const state = await until(async () => {
      const now = await shim.state();
      return now.inFlight === 0 ? now : undefined;
    }, 'nothing in flight');
    expect(state.sessions).toBeLessThanOrEqual(64);
    expect(state.restarts).toBe(0);
  });
});
