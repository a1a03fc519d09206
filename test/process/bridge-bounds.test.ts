// Every bound of the bridge, gone past: what is too long, too deep, too many or too slow is refused, nothing crashes,
// nothing grows, and the child is sent no invalid JSON.
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { connectLegacy, type Endpoint, open, post, readAnswer, toolText } from '../support/mcp-http.ts';
import { endpointOf, receivedBy, startRawShim } from '../support/raw-shim.ts';
import { type RunningShim, until } from '../support/shim-harness.ts';

const inFlight = (shim: RunningShim, count: number) =>
  until(async () => ((await shim.state()).inFlight === count ? true : undefined), `${count} in flight`);
const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {} },
};

/** Asks until the answer has that status. */
const untilStatus = (endpoint: Endpoint, body: unknown, headers: Record<string, string>, status: number) =>
  until(
    async () => ((await post(endpoint, body, headers)).status === status ? true : undefined),
    `status ${status}`,
  );

describe('bodies', () => {
  it('over the limit are refused and their connection is closed, said or not', async () => {
    await using shim = await startRawShim({ bodyBytesMax: 10_000 });
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const big = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'echo', arguments: { pad: 'x'.repeat(20_000) } },
    });
    const answer = await post(endpoint, big, client.headers).catch(
      (error: NodeJS.ErrnoException) => error.code,
    );
    // A client that is still sending may see the end of the connection before it sees why.
    if (typeof answer === 'object') {
      expect(answer.status).toBe(413);
      expect(answer.headers.connection).toBe('close');
    } else expect(['EPIPE', 'ECONNRESET']).toContain(answer);
    const chunked = await readAnswer(await openChunked(endpoint, client.headers, big)).catch(() => undefined);
    expect([413, undefined]).toContain(chunked?.status);
    const { received, invalid } = await receivedBy(client);
    expect(invalid).toBe(0);
    expect(received.filter(({ method }) => method === 'tools/call')).toHaveLength(1);
  });

  it('nested too deep are refused, small or large', async () => {
    await using shim = await startRawShim();
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const nested = (levels: number, pad: number) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"pad":"${'x'.repeat(pad)}","a":${'['.repeat(levels)}${']'.repeat(levels)}}}}`;
    for (const pad of [0, 100_000]) {
      expect((await post(endpoint, nested(100, pad), client.headers)).status).toBe(200);
      for (const levels of [200, 500_000]) {
        const answer = await post(endpoint, nested(levels, pad), client.headers);
        expect([answer.status, answer.messages[0].error.code]).toEqual([400, -32700]);
      }
    }
    expect((await receivedBy(client)).invalid).toBe(0);
  });

  it('of four million brackets, commas or numbers cost the shim no more than they weigh', async () => {
    await using shim = await startRawShim();
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const wrap = (inner: string) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pid","arguments":{"a":${inner}}}}`;
    const fill = (unit: string, bytes: number) =>
      `[${unit}${`,${unit}`.repeat(Math.floor(bytes / (unit.length + 1)))}]`;
    for (const inner of [fill('{}', 4_000_000), fill('0', 4_000_000), fill('{"a":[]}', 4_000_000)]) {
      const answers = await Promise.all([1, 2, 3].map(() => post(endpoint, wrap(inner), client.headers)));
      for (const answer of answers) expect(answer.status).toBe(200);
    }
    expect((await post(endpoint, fill('{}', 4_000_000), client.headers)).status).toBe(400);
    expect((await shim.state()).restarts).toBe(0);
  });

  it('with __proto__ and constructor reach the child as they are and change nothing', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const given = '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}';
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","__proto__":{"x":1},"params":{"name":"echo","arguments":${given}}}`;
    expect(toolText(await post(client, body, client.headers))).toBe(given);
    for (const params of [
      '{"__proto__":{"protocolVersion":"2025-11-25"}}',
      '{"capabilities":{"__proto__":{"roots":{}}}}',
    ])
      expect(
        (await post(client, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":${params}}`)).status,
      ).toBe(200);
    expect((await client.request('toString')).messages[0].error.code).toBe(-32601);
  });

  it('that come in single bytes are given up after the time-out', async () => {
    await using shim = await startRawShim({ bodyTimeoutMs: 400, headersTimeoutMs: 400 });
    const client = await connectLegacy(endpointOf(shim));
    const { closed, socket } = rawConnection(shim, client.headers, 'Content-Length: 1000\r\n\r\n{');
    const drip = setInterval(() => socket.write(' '), 50);
    expect(await closed).toMatch(/^HTTP\/1.1 408|^$/);
    clearInterval(drip);
    expect(toolText(await client.call('echo', { x: 1 }))).toBe('{"x":1}');
  });

  it('are received so many at a time', async () => {
    await using shim = await startRawShim({ inFlightMax: 4 });
    const client = await connectLegacy(endpointOf(shim));
    const held = Array.from({ length: 4 }, () =>
      rawConnection(shim, client.headers, 'Content-Length: 1000\r\n\r\n{'),
    );
    await untilStatus(client, { jsonrpc: '2.0', id: 1, method: 'ping' }, client.headers, 503);
    for (const { socket } of held) socket.destroy();
    await untilStatus(client, { jsonrpc: '2.0', id: 1, method: 'ping' }, client.headers, 200);
  });
});

describe('requests', () => {
  it('in flight are so many and no more', async () => {
    await using shim = await startRawShim({ inFlightMax: 8 });
    const client = await connectLegacy(endpointOf(shim));
    const waiting = Array.from({ length: 8 }, () => client.call('later', { ms: 1_000 }));
    await inFlight(shim, 8);
    const answer = await client.call('echo', {});
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    for (const { status } of await Promise.all(waiting)) expect(status).toBe(200);
    expect((await client.call('echo', {})).status).toBe(200);
  });

  it('without a sign of life end with an error, and the child is told', async () => {
    await using shim = await startRawShim({ requestTimeoutMs: 3_000 });
    const client = await connectLegacy(endpointOf(shim));
    const [answer, alive] = await Promise.all([client.call('never'), client.call('later', { ms: 500 })]);
    expect(answer.messages[0].error.code).toBe(-32001);
    expect(toolText(alive)).toBe('later');
    const { received } = await receivedBy(client);
    expect(received.filter(({ method }) => method === 'notifications/cancelled')).toHaveLength(1);
    expect((await shim.state()).inFlight).toBe(0);
  });
});

describe('sessions', () => {
  it('over the limit give way, the longest unused first, never one at work', async () => {
    await using shim = await startRawShim({ sessionsMax: 3 });
    const endpoint = endpointOf(shim);
    const [busy, old, fresh] = [
      await connectLegacy(endpoint),
      await connectLegacy(endpoint),
      await connectLegacy(endpoint),
    ];
    const waiting = busy.call('later', { ms: 1_500 });
    await inFlight(shim, 1);
    await connectLegacy(endpoint);
    const ping = (client: { headers: Record<string, string> }) =>
      post(endpoint, { jsonrpc: '2.0', id: 1, method: 'ping' }, client.headers);
    expect((await ping(old)).status).toBe(404);
    expect((await ping(fresh)).status).toBe(200);
    expect((await shim.state()).sessions).toBe(3);
    for (let count = 0; count < 50; count += 1) await connectLegacy(endpoint);
    expect((await shim.state()).sessions).toBe(3);
    expect(toolText(await waiting)).toBe('later');
  });

  it('all at work leave no room for another', async () => {
    await using shim = await startRawShim({ sessionsMax: 1 });
    const client = await connectLegacy(endpointOf(shim));
    const waiting = client.call('later', { ms: 500 });
    await inFlight(shim, 1);
    expect((await post(client, initialize)).status).toBe(503);
    await waiting;
    expect((await post(client, initialize)).status).toBe(200);
  });

  it('that idle are forgotten, those that listen are not', async () => {
    await using shim = await startRawShim({ sessionIdleMs: 1_500 });
    const endpoint = endpointOf(shim);
    const [idle, listening] = [await connectLegacy(endpoint), await connectLegacy(endpoint)];
    await using _ = await listening.listen();
    await untilStatus(endpoint, { jsonrpc: '2.0', id: 1, method: 'ping' }, { 'Mcp-Session-Id': 'x' }, 404);
    await until(async () => ((await shim.state()).sessions === 1 ? true : undefined), 'one session');
    expect((await idle.request('ping')).status).toBe(404);
    expect((await listening.request('ping')).status).toBe(200);
  });

  it('keep so many subscriptions, of so long a name', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const subscribe = async (uri: string) =>
      (await client.request('resources/subscribe', { uri })).messages[0];
    expect((await subscribe('x'.repeat(9_000))).error).toBeDefined();
    for (let at = 0; at < 1_000; at += 100)
      await Promise.all(Array.from({ length: 100 }, (_, index) => subscribe(`file:///${at + index}`)));
    expect((await subscribe('file:///one-more')).error).toBeDefined();
    await client.request('resources/unsubscribe', { uri: 'file:///1' });
    expect((await subscribe('file:///one-more')).result).toEqual({});
  });
});

describe('events', () => {
  it('are kept so many, and so many bytes', async () => {
    await using shim = await startRawShim({ eventsMax: 10, eventBytesMax: 4_000 });
    const client = await connectLegacy(endpointOf(shim));
    for (let count = 0; count < 30; count += 1)
      await client.call('raw', {
        lines: [
          JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { count } }),
        ],
      });
    const counts = await countsOf(client, '0-0');
    expect(counts).toEqual([20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
    const pad = 'x'.repeat(1_500);
    for (let count = 0; count < 5; count += 1)
      await client.call('raw', {
        lines: [
          JSON.stringify({
            jsonrpc: '2.0',
            method: 'notifications/tools/list_changed',
            params: { count, pad },
          }),
        ],
      });
    expect(await countsOf(client, '0-0')).toEqual([3, 4]);
  });

  /** The events a client gets that asks for all after an id. */
  async function countsOf(
    client: Awaited<ReturnType<typeof connectLegacy>>,
    after: string,
  ): Promise<number[]> {
    await using stream = await client.listen(after);
    const marker = `end-${Math.random()}`;
    await client.call('notify', { method: 'notifications/prompts/list_changed', params: { marker } });
    await stream.message(({ params }) => params?.marker === marker);
    return stream.events.flatMap(({ data }) => {
      const count = data === '' ? undefined : JSON.parse(data).params?.count;
      return count === undefined ? [] : [count];
    });
  }
});

describe('a child', () => {
  it('that writes junk is heard in the log, and its calls are answered', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const lines = [
      'hello',
      '{',
      '[]',
      '1',
      'null',
      '{"jsonrpc":"2.0"}',
      '{"jsonrpc":"2.0","id":null,"result":{}}',
      '{"jsonrpc":"2.0","id":99999,"result":{}}',
      '\u0000\u0001',
      '{"jsonrpc":"2.0","id":"not-ours","result":{}}',
      ' ',
      `{"a":"${'x'.repeat(100_000)}"`,
    ];
    expect(toolText(await client.call('raw', { lines }))).toBe('written');
    const line = await shim.logged(({ msg }) => msg.includes('not JSON-RPC'));
    expect(line).toMatchObject({ source: 'system', level: 'warn' });
    expect(toolText(await client.call('echo', { still: 'there' }))).toBe('{"still":"there"}');
  });

  it('may answer with eight million bytes, and a longer line is skipped', async () => {
    await using shim = await startRawShim({ requestTimeoutMs: 4_000 });
    const client = await connectLegacy(endpointOf(shim));
    expect(toolText(await client.call('big', { bytes: 8_000_000 }))).toHaveLength(8_000_000);
    const [over, after] = await Promise.all([
      client.call('big', { bytes: 11_000_000 }),
      client.call('echo', { x: 1 }),
    ]);
    expect(over.messages[0].error.code).toBe(-32001);
    expect(toolText(after)).toBe('{"x":1}');
    expect((await shim.log()).some(({ msg }) => msg.includes('it was skipped'))).toBe(true);
  });

  it('may answer with a million values: they pass without being built', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const answers = await Promise.all([1, 2, 3].map(() => client.call('many', { values: 1_500_000 })));
    for (const { messages } of answers)
      expect(messages[0].result.structuredContent.rows).toHaveLength(1_500_000);
    expect((await shim.state()).restarts).toBe(0);
  });

  it('may end lines as Windows does, and space its JSON as it likes', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const line =
      '{ "result" : { "content" : [ { "type" : "text",\r"text" : "spaced" } ] } , "id" : ID , "jsonrpc" : "2.0" }\r';
    expect(toolText(await client.call('answerRaw', { line }))).toBe('spaced');
    const twice = '{"id":ID,"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"twice"}]},"id":ID}';
    const answer = await client.request(
      'tools/call',
      { name: 'answerRaw', arguments: { line: twice } },
      'mine',
    );
    expect(answer.messages[0]).toMatchObject({ id: 'mine', result: { content: [{ text: 'twice' }] } });
  });

  it('that stops reading makes clients wait, holds nothing, and is caught up with', async () => {
    await using shim = await startRawShim();
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    await client.call('stopReading', { ms: 4_000 });
    const pad = 'x'.repeat(500_000);
    const before = (await shim.state()).rssBytes;
    const answers = Promise.all(Array.from({ length: 100 }, (_, at) => client.call('echo', { at, pad })));
    // On a busy machine it may take a moment to collect what it has read and let go.
    const waits = async (): Promise<boolean> => {
      const { inFlight, rssBytes } = await shim.state();
      return inFlight > 0 && inFlight < 60 && rssBytes - before < 90 * 1024 * 1024;
    };
    await expect.poll(waits).toBe(true);
    const given = (await answers).map((answer) => JSON.parse(toolText(answer)).at);
    expect(given).toEqual(Array.from({ length: 100 }, (_, at) => at));
    expect(toolText(await client.call('invalid'))).toBe('0');
  });
});

describe('a client', () => {
  it('that does not read its stream loses it, and finds the rest in the store', async () => {
    await using shim = await startRawShim({ clientBufferBytesMax: 100_000 });
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const response = await open(endpoint, 'GET', null, client.headers);
    response.pause();
    const closed = new Promise((resolve) => response.once('close', resolve));
    response.on('error', () => {});
    const pad = 'x'.repeat(200_000);
    for (let count = 0; count < 30; count += 1)
      await client.call('raw', {
        lines: [
          JSON.stringify({
            jsonrpc: '2.0',
            method: 'notifications/tools/list_changed',
            params: { count, pad },
          }),
        ],
      });
    response.resume();
    await closed;
    await using stream = await client.listen('0-28');
    await stream.message(({ params }) => params?.count === 29);
  });

  it('that does not read its answers loses them before they fill the memory', async () => {
    await using shim = await startRawShim({ bodyTimeoutMs: 1_000, headersTimeoutMs: 1_000 });
    const client = await connectLegacy(endpointOf(shim));
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'big', arguments: { bytes: 8_000_000 } },
    });
    const sockets = Array.from({ length: 12 }, () => {
      const { socket, closed } = rawConnection(
        shim,
        client.headers,
        `Content-Length: ${body.length}\r\n\r\n${body}`,
      );
      socket.pause();
      return { socket, closed };
    });
    await until(
      async () =>
        (await shim.state()).requests >= 13 && (await shim.state()).inFlight === 0 ? true : undefined,
      'all answered',
    );
    expect((await shim.state()).rssBytes).toBeLessThan(250 * 1024 * 1024);
    // Read on: what was cut off ends early.
    for (const { socket } of sockets) setTimeout(() => socket.resume(), 3_500);
    const whole = (await Promise.all(sockets.map(({ closed }) => closed))).filter(
      (text) => text.length > 8_000_000,
    );
    expect(whole).toEqual([]);
    expect(toolText(await client.call('echo', { x: 1 }))).toBe('{"x":1}');
  }, 60_000);

  it('that vanishes in the middle of a call leaves nothing behind', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'later', arguments: { ms: 300 } },
    });
    for (let count = 0; count < 50; count += 1)
      rawConnection(shim, client.headers, `Content-Length: ${body.length}\r\n\r\n${body}`, (socket) =>
        setTimeout(() => socket.destroy(), 50),
      );
    await until(async () => ((await shim.state()).requests > 50 ? true : undefined), 'fifty requests');
    await inFlight(shim, 0);
    expect(toolText(await client.call('echo', { x: 1 }))).toBe('{"x":1}');
  });
});

describe('connections', () => {
  it('ten thousand idle ones keep nobody out, and go by themselves', async () => {
    await using shim = await startRawShim({ headersTimeoutMs: 3_000 });
    const client = await connectLegacy(endpointOf(shim));
    let open_ = 0;
    for (let count = 0; count < 10_000; count += 1) {
      const socket = connect(shim.port, '127.0.0.1');
      open_ += 1;
      socket.on('error', () => {});
      socket.on('close', () => {
        open_ -= 1;
      });
      socket.resume();
      if (count % 250 === 249) await new Promise((resolve) => socket.once('connect', resolve));
    }
    expect(toolText(await client.call('echo', { x: 1 }))).toBe('{"x":1}');
    expect((await shim.state()).rssBytes).toBeLessThan(350 * 1024 * 1024);
    await until(() => (open_ === 0 ? true : undefined), 'the end of all of them', 30_000);
    expect(toolText(await client.call('echo', { x: 2 }))).toBe('{"x":2}');
  }, 60_000);

  it('over the limit are not accepted', async () => {
    await using shim = await startRawShim({ connectionsMax: 5 });
    const sockets = Array.from({ length: 5 }, () => connect(shim.port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    const sixth = connect(shim.port, '127.0.0.1');
    await new Promise((resolve) => sixth.once('close', resolve).on('error', () => {}));
    for (const socket of sockets) socket.destroy();
    await until(
      () =>
        fetch(`http://127.0.0.1:${shim.port}/healthz`).then(
          (answer) => answer.ok || undefined,
          () => undefined,
        ),
      'room again',
    );
  });
});

async function openChunked(endpoint: Endpoint, headers: Record<string, string>, body: string) {
  return open(endpoint, 'POST', body, { ...headers, 'Transfer-Encoding': 'chunked' });
}

function rawConnection(
  shim: RunningShim,
  headers: Record<string, string>,
  rest: string,
  onConnect?: (socket: ReturnType<typeof connect>) => void,
) {
  const socket = connect(shim.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(
    `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${shim.port}\r\nAuthorization: Bearer ${shim.token}\r\nContent-Type: application/json\r\n${lines.join('')}${rest}`,
  );
  socket.once('connect', () => onConnect?.(socket));
  return { socket, closed };
}
