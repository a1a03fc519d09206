// Clients that know only HTTP+SSE (2024-11-05): off by default; where it is on, one stream a client and the same rules.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { describe, expect, it } from 'vitest';
import { connectLegacy, open, post, streamOf } from '../support/mcp-http.ts';
import { endpointOf, startRawShim } from '../support/raw-shim.ts';
import { type RunningShim, until } from '../support/shim-harness.ts';

const start = () => startRawShim({ sessionsMax: 4 }, { legacySse: true });

async function connectSse(shim: RunningShim): Promise<Client> {
  const headers = { Authorization: `Bearer ${shim.token}` };
  const url = new URL(shim.url.replace('/mcp', '/sse'));
  const transport = new SSEClientTransport(url, {
    requestInit: { headers },
    eventSourceInit: {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...(init?.headers as object), ...headers } }),
    },
  });
  const client = new Client({ name: 'old', version: '1' }, { capabilities: { elicitation: {} } });
  await client.connect(transport as never);
  return client;
}

describe('HTTP+SSE', () => {
  it('is not there unless asked for', async () => {
    await using shim = await startRawShim();
    const endpoint = endpointOf(shim);
    expect((await open({ ...endpoint, url: shim.url.replace('/mcp', '/sse') }, 'GET', null)).statusCode).toBe(
      404,
    );
  });

  it('serves the client of the SDK beside modern transports, on the same child', async () => {
    await using shim = await start();
    const [client, other] = await Promise.all([connectSse(shim), connectLegacy(endpointOf(shim))]);
    expect(client.getServerVersion()?.name).toBe('raw-child');
    expect(client.getInstructions()).toBe('Be raw');
    const answer = await client.callTool({ name: 'echo', arguments: { a: 1 } });
    expect(answer.content).toEqual([{ type: 'text', text: '{"a":1}' }]);
    const progress: unknown[] = [];
    // The client forgets who wanted progress when it reads the result: the two must not come in one read.
    await client.callTool({ name: 'progress', arguments: { steps: 2, ms: 200 } }, undefined, {
      onprogress: (step) => progress.push(step),
    });
    expect(progress).toEqual([
      { progress: 1, total: 2 },
      { progress: 2, total: 2 },
    ]);
    expect((await other.call('pid')).status).toBe(200);
    expect(shim.processes()).toHaveLength(1);
    await client.close();
    await until(
      async () => ((await shim.state()).sessions === 1 ? true : undefined),
      'the session to end with its stream',
    );
  });

  it('asks for the token on both ends, and knows its sessions', async () => {
    await using shim = await start();
    const endpoint = endpointOf(shim);
    const at = (path: string) => ({ ...endpoint, url: shim.url.replace('/mcp', path) });
    for (const path of ['/sse', '/messages']) {
      const wrong = { ...at(path), token: 'wrong' };
      expect((await open(wrong, path === '/sse' ? 'GET' : 'POST', null)).statusCode).toBe(401);
    }
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    for (const path of [
      '/messages',
      '/messages?sessionId=x',
      '/messages?sessionId=11111111-2222-3333-4444-555555555555',
    ])
      expect((await post(at(path), ping)).status).toBe(404);
    // A session of the newer transport is none of this one, and the other way round.
    const { sessionId } = await connectLegacy(endpoint);
    expect((await post(at(`/messages?sessionId=${sessionId}`), ping)).status).toBe(404);
    await using stream = streamOf(await open(at('/sse'), 'GET', null));
    await until(() => stream.events[0], 'the endpoint');
    const own = String(stream.events[0]?.data);
    expect(own).toMatch(/^\/messages\?sessionId=/);
    expect((await post(endpoint, ping, { 'Mcp-Session-Id': own.split('=')[1] as string })).status).toBe(404);
    expect((await post(at(own), ping)).status).toBe(202);
    await until(() => stream.events.find(({ data }) => data.includes('"result":{}')), 'the answer');
    for (const body of ['{', '[]', '1', '{"jsonrpc":"2.0","id":null,"method":"x"}'])
      expect((await post(at(own), body)).status).toBe(400);
  });

  it('is bounded like everything else', async () => {
    await using shim = await start();
    const at = { ...endpointOf(shim), url: shim.url.replace('/mcp', '/sse') };
    const streams = [];
    for (let count = 0; count < 8; count += 1) streams.push(streamOf(await open(at, 'GET', null)));
    await Promise.all(streams.slice(0, 4).map(({ ended }) => ended));
    expect((await shim.state()).sessions).toBe(4);
    for (const stream of streams) stream.close();
    await until(async () => ((await shim.state()).sessions === 0 ? true : undefined), 'no session');
  });
});
