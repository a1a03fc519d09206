// A child that speaks HTTP: fronted by the same door, never shown the token, its answers streamed as they come.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Bounds } from '../../src/shim/contract.ts';
import { connectLegacy, open, post, readAnswer, streamOf, toolText } from '../support/mcp-http.ts';
import { endpointOf } from '../support/raw-shim.ts';
import { freePort, startShim, until } from '../support/shim-harness.ts';

const script = join(import.meta.dirname, '../fixtures/mcp/http-child.ts');

async function startHttpShim(bounds: Partial<Bounds> = {}) {
  const httpPort = await freePort();
  const child = {
    args: [script],
    transport: 'streamable-http' as const,
    httpPort,
    env: { PORT: String(httpPort) },
  };
  return startShim({ child, bounds });
}

describe('a child on a private port', () => {
  it('is ready when it answers, and says who it is', async () => {
    await using shim = await startHttpShim();
    expect((await shim.state()).server).toEqual({
      name: 'http-child',
      version: '1.0.0',
      protocolVersion: '2025-11-25',
    });
    expect(await shim.logged(({ msg }) => msg.includes('in no hurry'))).toMatchObject({ level: 'info' });
  });

  it('sees neither token nor origin, and a host of its own', async () => {
    await using shim = await startHttpShim();
    const endpoint = endpointOf(shim);
    expect(
      (await post({ ...endpoint, token: 'wrong' }, { jsonrpc: '2.0', id: 1, method: 'ping' })).status,
    ).toBe(401);
    const client = await connectLegacy(endpoint);
    const origin = { Origin: `http://127.0.0.1:${shim.port}`, Cookie: 'a=b', 'X-Mine': 'kept' };
    const body = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'headers' } };
    const answer = await post(endpoint, body, { ...client.headers, ...origin });
    const headers = toolText(answer);
    expect(headers).not.toContain(shim.token);
    for (const name of ['authorization', 'origin', 'cookie'])
      expect(headers.toLowerCase()).not.toContain(`"${name}"`);
    expect(headers).toContain('kept');
    expect(headers).toContain(`127.0.0.1:${shim.spec.child.httpPort}`);
    expect(answer.headers['access-control-allow-origin']).toBe(origin.Origin);
  });

  it('keeps its own sessions, and its streams are passed as they come', async () => {
    await using shim = await startHttpShim();
    const client = await connectLegacy(endpointOf(shim));
    expect(client.sessionId).toMatch(/^session-/);
    const call = {
      jsonrpc: '2.0',
      id: 'a',
      method: 'tools/call',
      params: { name: 'stream', arguments: { ms: 300 } },
    };
    await using stream = await client.stream(call);
    await stream.message(({ method }) => method === 'notifications/message');
    expect((await shim.state()).inFlight).toBe(1);
    expect((await stream.message(({ id }) => id === 'a')).result.content[0].text).toBe('streamed');
    await until(async () => ((await shim.state()).inFlight === 0 ? true : undefined), 'nothing in flight');
    await using own = await client.listen();
    await own.message(({ method }) => method === 'notifications/tools/list_changed');
    expect((await shim.state()).inFlight).toBe(0);
    expect((await readAnswer(await open(client, 'DELETE', null, client.headers))).status).toBe(200);
    expect((await client.request('tools/list')).status).toBe(404);
  });

  it('that dies gives its callers an error, before its answer began and in the middle', async () => {
    await using shim = await startHttpShim();
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const never = client.call('never');
    const cut = await client.stream({
      jsonrpc: '2.0',
      id: 'cut',
      method: 'tools/call',
      params: { name: 'dieInTheMiddle' },
    });
    expect((await cut.message(({ id }) => id === 'cut')).error.code).toBe(-32603);
    expect((await never).messages[0].error.code).toBe(-32603);
    await until(
      async () =>
        (await shim.state()).restarts === 1 && (await shim.state()).phase === 'running' ? true : undefined,
      'a restart',
    );
    expect((await client.request('tools/list')).status).toBe(404);
    expect(toolText(await (await connectLegacy(endpoint)).call('headers'))).toContain('Host');
  });

  it('is held to the same bounds', async () => {
    await using shim = await startHttpShim({ inFlightMax: 2, requestTimeoutMs: 2_000, bodyBytesMax: 50_000 });
    const client = await connectLegacy(endpointOf(shim));
    const big = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x', params: { pad: 'x'.repeat(60_000) } });
    expect([413, undefined]).toContain(
      (await post(client, big, client.headers).catch(() => undefined))?.status,
    );
    expect((await post(client, '{"a":', client.headers)).messages[0].error.code).toBe(-32700);
    const waiting = [client.call('never'), client.call('never')];
    await until(async () => ((await shim.state()).inFlight === 2 ? true : undefined), 'two in flight');
    expect((await client.call('headers')).status).toBe(503);
    for (const answer of await Promise.all(waiting))
      expect(answer.messages[0].error.message).toContain('2000 ms');
    expect((await shim.state()).inFlight).toBe(0);
    const vanishing = streamOf(
      await open(
        client,
        'POST',
        JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'stream', arguments: { ms: 300 } },
        }),
        client.headers,
      ),
    );
    vanishing.close();
    await until(async () => ((await shim.state()).inFlight === 0 ? true : undefined), 'nothing in flight');
  });
});
