// What the child says goes to whom it concerns and to nobody else: notifications, log messages, progress, and its own
// questions. What clients want to hear is booked per session.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connectLegacy,
  type Endpoint,
  type LegacyClient,
  post,
  type Stream,
  toolText,
} from '../support/mcp-http.ts';
import { endpointOf, receivedBy, startRawShim } from '../support/raw-shim.ts';
import { type RunningShim, until } from '../support/shim-harness.ts';

let shim: RunningShim;
let endpoint: Endpoint;
beforeEach(async () => {
  shim = await startRawShim();
  endpoint = endpointOf(shim);
});
afterEach(() => shim.dispose());

/** Resolves when the child has that many requests unanswered. */
const inFlight = (count: number) =>
  until(async () => ((await shim.state()).inFlight === count ? true : undefined), `${count} in flight`);
const call = (id: number, name: string, given: object, meta?: object) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: given, ...(meta && { _meta: meta }) },
});
const methods = (stream: Stream): string[] =>
  stream.events.filter(({ data }) => data !== '').map(({ data }) => JSON.parse(data).method);
const sentMethods = async (client: LegacyClient, method: string) =>
  (await receivedBy(client)).received.filter((message) => message.method === method);

describe('progress', () => {
  it('comes under the token of the client that asked, before the answer', async () => {
    const clients = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    const answers = await Promise.all(
      clients.map((client) => client.call('progress', { steps: 3 }, { progressToken: 'same' })),
    );
    for (const answer of answers) {
      expect(answer.headers['content-type']).toBe('text/event-stream');
      expect(answer.messages.map(({ params, result }) => params?.progress ?? result.content[0].text)).toEqual(
        [1, 2, 3, 'done'],
      );
      expect(answer.messages[0].params.progressToken).toBe('same');
    }
    const numeric = await clients[0]?.call('progress', { steps: 1 }, { progressToken: 7, other: 'kept' });
    expect(numeric?.messages[0].params.progressToken).toBe(7);
    const tokens = (await sentMethods(clients[0] as LegacyClient, 'tools/call')).map(
      ({ params }) => params._meta,
    );
    expect(new Set(tokens.slice(0, 3).map((meta) => meta.progressToken)).size).toBe(3);
    expect(tokens[2].other).toBe('kept');
  });

  it('without a token has nowhere to go, and an answer alone is plain JSON', async () => {
    const client = await connectLegacy(endpoint);
    const answer = await client.call('progress', { steps: 3 });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.messages).toHaveLength(1);
  });
});

describe('cancellation', () => {
  it('reaches the child under its own id and ends the request empty', async () => {
    const [client, other] = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    const waiting = post(endpoint, call(5, 'never', {}), client.headers);
    const others = post(endpoint, call(5, 'later', { ms: 300 }), other.headers);
    await inFlight(2);
    await client.notify('notifications/cancelled', { requestId: 5, reason: 'enough' });
    expect((await waiting).messages).toEqual([]);
    expect((await others).messages[0].result.content[0].text).toBe('later');
    const [cancelled] = await sentMethods(client, 'notifications/cancelled');
    const never = (await sentMethods(client, 'tools/call')).find(({ params }) => params.name === 'never');
    expect(cancelled.params).toEqual({ requestId: never.id, reason: 'enough' });
  });

  it('of something unknown, or of another session, reaches nobody', async () => {
    const [client, other] = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    const waiting = post(endpoint, call(6, 'later', { ms: 200 }), client.headers);
    await inFlight(1);
    await other.notify('notifications/cancelled', { requestId: 6 });
    await client.notify('notifications/cancelled', { requestId: '6' });
    expect((await waiting).messages[0].result.content[0].text).toBe('later');
    expect(await sentMethods(client, 'notifications/cancelled')).toEqual([]);
  });
});

describe('changes', () => {
  it('of lists go to every session', async () => {
    const clients = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    const streams = await Promise.all(clients.map((client) => client.listen()));
    await clients[0]?.call('notify', { method: 'notifications/tools/list_changed' });
    for (const stream of streams)
      await stream.message(({ method }) => method === 'notifications/tools/list_changed');
    for (const stream of streams) stream.close();
  });

  it('of a resource go to those subscribed, and the child is subscribed once', async () => {
    const uri = 'file:///a';
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => connectLegacy(endpoint)));
    if (!first || !second || !third) throw new Error('three clients');
    const streams = await Promise.all([first, second, third].map((client) => client.listen()));
    for (const client of [first, second]) await client.request('resources/subscribe', { uri });
    await first.call('notify', { method: 'notifications/resources/updated', params: { uri } });
    for (const stream of streams.slice(0, 2)) await stream.message(({ params }) => params?.uri === uri);
    await first.call('notify', { method: 'notifications/prompts/list_changed' });
    await streams[2]?.message(({ method }) => method === 'notifications/prompts/list_changed');
    expect(methods(streams[2] as Stream)).toEqual(['notifications/prompts/list_changed']);
    await first.request('resources/unsubscribe', { uri });
    expect(await sentMethods(first, 'resources/unsubscribe')).toEqual([]);
    await second.request('resources/unsubscribe', { uri });
    expect(await sentMethods(first, 'resources/unsubscribe')).toHaveLength(1);
    expect(await sentMethods(first, 'resources/subscribe')).toHaveLength(1);
    for (const stream of streams) stream.close();
  });

  it('that happen before anyone listens are told to the one who then does', async () => {
    const client = await connectLegacy(endpoint);
    await client.call('notify', { method: 'notifications/tools/list_changed' });
    await using stream = await client.listen();
    await stream.message(({ method }) => method === 'notifications/tools/list_changed');
  });
});

describe('log messages', () => {
  const log = (level: string) => ({ method: 'notifications/message', params: { level, data: level } });

  it('are as many as the session asked for; the child is told the lowest', async () => {
    const [loud, quiet] = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    if (!loud || !quiet) throw new Error('two clients');
    await quiet.request('logging/setLevel', { level: 'error' });
    await loud.request('logging/setLevel', { level: 'debug' });
    await quiet.request('logging/setLevel', { level: 'warning' });
    const levels = (await sentMethods(loud, 'logging/setLevel')).map(({ params }) => params.level);
    // At first the other session has not spoken, and hears what is usual.
    expect(levels).toEqual(['info', 'debug']);
    const streams = [await loud.listen(), await quiet.listen()] as const;
    const slow = post(endpoint, call(1, 'later', { ms: 400 }), loud.headers);
    await inFlight(1);
    for (const level of ['debug', 'warning']) await quiet.call('notify', log(level));
    await streams[0].message(({ params }) => params?.level === 'warning');
    await streams[1].message(({ params }) => params?.level === 'warning');
    expect(streams[1].events.some(({ data }) => data.includes('"debug"'))).toBe(false);
    expect(streams[0].events.some(({ data }) => data.includes('"debug"'))).toBe(true);
    await slow;
    for (const stream of streams) stream.close();
  });

  it('during the only call belong to it', async () => {
    const [client, other] = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    await using stream = await other.listen();
    const answer = await client.call('notify', log('info'));
    expect(answer.messages[0]).toMatchObject(log('info'));
    await client.call('notify', { method: 'notifications/tools/list_changed' });
    await stream.message(({ method }) => method === 'notifications/tools/list_changed');
    expect(methods(stream)).toEqual(['notifications/tools/list_changed']);
  });

  it('go back to what the others want when the loudest leaves', async () => {
    const [loud, quiet] = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint)]);
    await loud.request('logging/setLevel', { level: 'debug' });
    await quiet.request('logging/setLevel', { level: 'error' });
    await fetch(endpoint.url, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${endpoint.token}`, ...loud.headers },
    });
    const levels = (await sentMethods(quiet, 'logging/setLevel')).map(({ params }) => params.level);
    expect(levels).toEqual(['debug', 'error']);
  });
});

describe('questions of the child', () => {
  const able = { elicitation: {}, sampling: {}, roots: {} };
  const ask = {
    method: 'elicitation/create',
    params: { message: 'Well?', requestedSchema: { type: 'object' } },
  };

  it('go to the session whose request is in flight, and only its answer counts', async () => {
    const [client, other] = await Promise.all([connectLegacy(endpoint, able), connectLegacy(endpoint, able)]);
    await using otherStream = await other.listen();
    await using stream = await client.stream(call(1, 'ask', { ...ask, id: 'mine' }));
    const question = await stream.message(({ method }) => method === 'elicitation/create');
    expect(question.params).toEqual(ask.params);
    expect(question.id).not.toBe('mine');
    const reply = { jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { a: 1 } } };
    await post(endpoint, { ...reply, result: { action: 'decline' } }, other.headers);
    expect((await post(endpoint, reply, client.headers)).status).toBe(202);
    const done = await stream.message(({ id, method }) => id === 1 && method === undefined);
    expect(JSON.parse(done.result.content[0].text)).toEqual({ result: reply.result });
    await stream.ended;
    expect(methods(otherStream)).toEqual([]);
  });

  it('are refused when that session cannot answer, though another could', async () => {
    const [client, other] = await Promise.all([connectLegacy(endpoint), connectLegacy(endpoint, able)]);
    await using stream = await other.listen();
    expect(JSON.parse(toolText(await client.call('ask', ask))).error).toMatchObject({ code: -32601 });
    expect(methods(stream)).toEqual([]);
  });

  it('of kinds a client has not declared are refused, down to the mode', async () => {
    const client = await connectLegacy(endpoint, { elicitation: { form: {} }, sampling: {} });
    const wrong = [
      { method: 'roots/list' },
      {
        method: 'elicitation/create',
        params: { mode: 'url', message: 'x', url: 'https://x', elicitationId: '1' },
      },
      { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1, tools: [] } },
      { method: 'made/up' },
    ];
    for (const question of wrong)
      expect(JSON.parse(toolText(await client.call('ask', question))).error.code).toBe(-32601);
  });

  it('that several could be meant by go to the only one able, by its own stream, else to nobody', async () => {
    const [client, plain] = await Promise.all([connectLegacy(endpoint, able), connectLegacy(endpoint)]);
    const busy = post(endpoint, call(1, 'later', { ms: 600 }), client.headers);
    await inFlight(1);
    await using stream = await client.listen();
    const asking = plain.call('ask', ask);
    // The question goes to the able session's request in flight, or its own stream; here the request's.
    const question = JSON.parse(
      (await busy.then(({ messages }) =>
        JSON.stringify(messages.find(({ method }) => method === 'elicitation/create')),
      )) ?? 'null',
    );
    await post(endpoint, { jsonrpc: '2.0', id: question.id, result: { action: 'cancel' } }, client.headers);
    expect(JSON.parse(toolText(await asking)).result).toEqual({ action: 'cancel' });
    await connectLegacy(endpoint, able);
    const again = post(endpoint, call(2, 'later', { ms: 300 }), client.headers);
    await inFlight(1);
    expect(JSON.parse(toolText(await plain.call('ask', ask))).error.code).toBe(-32601);
    await again;
    expect(methods(stream)).toEqual([]);
  });

  it('end with an error when the session they went to is gone', async () => {
    const client = await connectLegacy(endpoint, able);
    const stream = await client.stream(call(1, 'ask', ask));
    await stream.message(({ method }) => method === 'elicitation/create');
    await fetch(endpoint.url, {
      method: 'DELETE',
      headers: { Authorization: `Bearer ${endpoint.token}`, ...client.headers },
    });
    const other = await connectLegacy(endpoint);
    const { received } = await receivedBy(other);
    expect(
      received.find(({ error, id }) => error !== undefined && String(id).startsWith('ask-')),
    ).toBeDefined();
  });

  it('called ping are answered on the spot', async () => {
    const client = await connectLegacy(endpoint);
    expect(JSON.parse(toolText(await client.call('ask', { method: 'ping' })))).toEqual({ result: {} });
  });
});
