// What clients see when the child dies, when the instance ends, and when they lost the connection themselves.
import { describe, expect, it } from 'vitest';
import { connectLegacy, open, post, readAnswer, streamOf, toolText } from '../support/mcp-http.ts';
import { endpointOf, startRawShim } from '../support/raw-shim.ts';
import { type RunningShim, until } from '../support/shim-harness.ts';

const call = (id: string, name: string, given: object = {}, meta?: object) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: given, ...(meta && { _meta: meta }) },
});
const inFlight = (shim: RunningShim, count: number) =>
  until(async () => ((await shim.state()).inFlight === count ? true : undefined), `${count} in flight`);
const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {} },
};

describe('a child that dies', () => {
  it('gives calls in flight an error, ends sessions with 404, and serves again by itself', async () => {
    await using shim = await startRawShim();
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const own = await client.listen();
    const plain = post(endpoint, call('plain', 'never'), client.headers);
    const stream = await client.stream(call('streamed', 'progress', { steps: 0 }, { progressToken: 1 }));
    const streamed = await client.stream(call('streaming', 'ask', { method: 'elicitation/create' }));
    stream.close();
    await streamed.ended.catch(() => {});
    await inFlight(shim, 1);
    const dying = post(endpoint, call('dying', 'die'), client.headers);
    for (const answer of [await plain, await dying]) {
      expect(answer.status).toBe(200);
      expect(answer.messages[0].error).toMatchObject({
        code: -32603,
        message: expect.stringContaining('ended'),
      });
    }
    expect((await dying).messages[0].id).toBe('dying');
    await own.ended;
    expect((await client.request('ping')).status).toBe(404);
    // It is being restarted: a new client waits until it is there.
    const fresh = await connectLegacy(endpoint);
    expect(toolText(await fresh.call('echo', { back: true }))).toBe('{"back":true}');
    expect((await shim.state()).restarts).toBe(1);
  });

  it('in the middle of a stream ends it with an error, not with silence', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim), { elicitation: {} });
    const stream = await client.stream(
      call('asking', 'ask', { method: 'elicitation/create', params: { message: '?' } }),
    );
    await stream.message(({ method }) => method === 'elicitation/create');
    const dying = client.call('die');
    expect(
      (await stream.message(({ id, method }) => id === 'asking' && method === undefined)).error.code,
    ).toBe(-32603);
    await stream.ended;
    await dying;
  });
});

describe('the end of an instance', () => {
  it('lets calls in flight finish and refuses new ones', async () => {
    await using shim = await startRawShim();
    const endpoint = endpointOf(shim);
    const client = await connectLegacy(endpoint);
    const own = await client.listen();
    const waiting = client.call('later', { ms: 800 });
    await inFlight(shim, 1);
    const stopping = shim.stop('user', { drainMs: 5_000, graceMs: 1_000 });
    await until(async () => {
      const answer = await post(endpoint, initialize).catch(() => ({ status: 0 }));
      return answer.status === 503 || answer.status === 0 ? true : undefined;
    }, 'new requests to be refused');
    expect(toolText(await waiting)).toBe('later');
    await own.ended;
    expect((await stopping).reason).toBe('user');
  });
});

describe('a lost connection', () => {
  it('is taken up again where it broke, on the own stream', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const changed = (n: number) =>
      client.call('notify', { method: 'notifications/tools/list_changed', params: { n } });
    const first = await client.listen();
    expect(first.status).toBe(200);
    await changed(1);
    await first.message(({ params }) => params?.n === 1);
    const last = first.events.at(-1)?.id;
    first.close();
    for (const n of [2, 3, 4]) await changed(n);
    const second = await client.listen(last);
    await second.message(({ params }) => params?.n === 4);
    const seen = second.events.map(({ data }) => JSON.parse(data).params.n);
    expect(seen).toEqual([2, 3, 4]);
    second.close();
    // And again, further back: nothing of another stream, nothing twice.
    const third = await client.listen(last);
    await third.message(({ params }) => params?.n === 4);
    expect(third.events.map(({ id }) => id)).toEqual(second.events.map(({ id }) => id));
    third.close();
  });

  it('is taken up again in the middle of a call, with the answer at the end', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim), { elicitation: {} });
    const ask = { method: 'elicitation/create', params: { message: '?' } };
    const stream = await client.stream(call('mine', 'ask', ask));
    const question = await stream.message(({ method }) => method === 'elicitation/create');
    const last = stream.events.at(-1)?.id;
    stream.close();
    await post(client, { jsonrpc: '2.0', id: question.id, result: { action: 'accept' } }, client.headers);
    const again = await client.listen(last);
    expect(toolText({ messages: [await again.message(({ id }) => id === 'mine')] } as never)).toContain(
      'accept',
    );
    await again.ended;
    // Once more after its end: the answer is still there.
    const late = await client.listen(last);
    await late.message(({ id }) => id === 'mine');
    await late.ended;
  });

  it('with an id of nobody is refused, or finds nothing', async () => {
    await using shim = await startRawShim();
    const client = await connectLegacy(endpointOf(shim));
    const other = await connectLegacy(endpointOf(shim));
    await using stream = await client.stream(call('mine', 'progress', { steps: 1 }, { progressToken: 1 }));
    await stream.message(({ id }) => id === 'mine');
    const id = stream.events[0]?.id as string;
    const foreign = await other.listen(id);
    await foreign.ended;
    expect(foreign.events).toEqual([]);
    for (const wrong of ['x', '1', '1-', '-1-1', '99999999999999999999-1'])
      expect(
        (await readAnswer(await open(client, 'GET', null, { ...client.headers, 'Last-Event-ID': wrong })))
          .status,
      ).toBe(400);
    const plain = streamOf(await open(client, 'GET', null, { ...client.headers, 'Last-Event-ID': '' }));
    expect(plain.status).toBe(200);
    plain.close();
  });
});
