// Anything from either side: whatever clients post, the child is sent whole lines of valid JSON and no id twice;
// whatever the child writes, every client gets an answer that is valid, and nobody crashes.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultRestartPolicy } from '../../src/domain/restart.ts';
import { createBridge } from '../../src/shim/bridge/bridge.ts';
import { contractVersion, defaultBounds, type LaunchSpec } from '../../src/shim/contract.ts';
import type { Bridge } from '../../src/shim/seams.ts';
import { type Answer, connectLegacy, type LegacyClient, post } from '../support/mcp-http.ts';

const spec: LaunchSpec = {
  contract: contractVersion,
  instanceId: '11111111-2222-3333-4444-555555555555',
  generation: 1,
  bundleDir: '/nowhere',
  listen: { host: '127.0.0.1', port: 0 },
  hosts: [],
  origins: [],
  tokenSha256: '',
  lease: { remainingMs: 600_000, expiresAt: '2099-01-01T00:00:00.000Z' },
  child: {
    command: '',
    args: [],
    cwd: '',
    env: {},
    transport: 'stdio',
    startTimeoutMs: 1_000,
    era: 'legacy',
  },
  secrets: [],
  restart: defaultRestartPolicy,
  bounds: { ...defaultBounds, bodyBytesMax: 200_000, requestTimeoutMs: 200 },
  legacySse: false,
  drainMs: 1,
  graceMs: 1,
};

let bridge: Bridge;
let server: Server;
let client: LegacyClient;
/** What the child was sent, and how it answers a request. */
const sent: string[] = [];
let answerWith = (id: unknown): string[] => [JSON.stringify({ jsonrpc: '2.0', id, result: {} })];

beforeAll(async () => {
  bridge = createBridge({ spec, say: () => {} });
  server = createServer((request, response) => bridge.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const send = (line: string): boolean => {
    sent.push(line);
    const { id, method } = JSON.parse(line);
    if (id === undefined || method === undefined) return true;
    const result = {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: 'x', version: '1' },
    };
    const lines = method === 'initialize' ? [JSON.stringify({ jsonrpc: '2.0', id, result })] : answerWith(id);
    setImmediate(() => {
      for (const answer of lines) bridge.receive(link, Buffer.from(answer));
    });
    return true;
  };
  const link = { send, onDrain: () => {} };
  await bridge.open(link, AbortSignal.timeout(5_000));
  const { port } = server.address() as AddressInfo;
  client = await connectLegacy({ url: `http://127.0.0.1:${port}/mcp`, token: '' });
});
afterAll(() => {
  bridge.close();
  server.closeAllConnections();
  server.close();
});

const isAnswer = (answer: Answer): boolean =>
  answer.status >= 200 &&
  answer.status < 500 &&
  answer.messages.every((message) => message.jsonrpc === '2.0');

describe('whatever a client posts', () => {
  const ids = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.double(), fc.jsonValue());
  const message = fc.record(
    {
      jsonrpc: fc.constantFrom('2.0', '1.0', 2),
      id: ids,
      method: fc.oneof(
        fc.string(),
        fc.constantFrom(
          'ping',
          'tools/call',
          'initialize',
          'resources/subscribe',
          'logging/setLevel',
          'notifications/cancelled',
          'notifications/progress',
          'subscriptions/listen',
        ),
      ),
      params: fc.oneof(
        fc.jsonValue(),
        fc.record(
          {
            uri: fc.string(),
            level: fc.string(),
            requestId: ids,
            progressToken: ids,
            _meta: fc.oneof(fc.jsonValue(), fc.record({ progressToken: ids })),
          },
          { requiredKeys: [] },
        ),
      ),
      result: fc.jsonValue(),
      error: fc.jsonValue(),
    },
    { requiredKeys: ['jsonrpc'] },
  );
  const spaced = fc
    .tuple(message, fc.constantFrom(undefined, 2, '\t'))
    .map(([value, space]) => JSON.stringify(value, undefined, space));
  const padded = spaced.map((text) => `${' '.repeat(70_000)}${text}`);
  const body = fc.oneof(
    { weight: 6, arbitrary: spaced },
    { weight: 1, arbitrary: padded },
    { weight: 1, arbitrary: fc.array(message).map((list) => JSON.stringify(list)) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 1, arbitrary: fc.json().map((text) => text.slice(0, -1)) },
  );

  it('is answered, and the child is sent nothing but whole, valid, distinct requests', async () => {
    sent.length = 0;
    await fc.assert(
      fc.asyncProperty(body, async (text) => isAnswer(await post(client, text, client.headers))),
      { numRuns: 600 },
    );
    const requested: unknown[] = [];
    for (const line of sent) {
      expect(line).not.toMatch(/[\r\n]/);
      const { id, method } = JSON.parse(line);
      if (method !== undefined && id !== undefined) requested.push(id);
    }
    expect(new Set(requested).size).toBe(requested.length);
    expect(requested.every((id) => Number.isSafeInteger(id))).toBe(true);
  }, 60_000);
});

describe('whatever the child writes', () => {
  const around = (id: unknown) =>
    fc.oneof(
      fc
        .record({ jsonrpc: fc.constant('2.0'), id: fc.constant(id), result: fc.jsonValue() })
        .map((value) => JSON.stringify(value)),
      fc
        .record({ id: fc.constant(id), jsonrpc: fc.constant('2.0'), error: fc.jsonValue() })
        .map((value) => JSON.stringify(value, undefined, 1).replaceAll('\n', '\r')),
      fc
        .record(
          {
            jsonrpc: fc.constant('2.0'),
            method: fc.constantFrom(
              'notifications/progress',
              'notifications/message',
              'notifications/cancelled',
              'notifications/resources/updated',
              'x',
            ),
            params: fc.jsonValue(),
          },
          { requiredKeys: ['jsonrpc', 'method'] },
        )
        .map((value) => JSON.stringify(value)),
      fc
        .record({
          jsonrpc: fc.constant('2.0'),
          id: fc.oneof(fc.string(), fc.integer()),
          method: fc.constantFrom('ping', 'roots/list', 'sampling/createMessage', 'elicitation/create', 'x'),
          params: fc.jsonValue(),
        })
        .map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.array(fc.jsonValue()).map((value) => JSON.stringify(value)),
    );

  it('clients get valid answers, each its own', async () => {
    let made: fc.Arbitrary<string[]> = fc.constant([]);
    let picked: string[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(fc.nat()),
        fc.oneof(fc.integer(), fc.string({ maxLength: 20 })),
        async (seeds, id) => {
          answerWith = (childId) => {
            made = fc.array(around(childId), { maxLength: 4 });
            picked = fc.sample(made, { numRuns: 1, seed: seeds.next().value })[0] ?? [];
            return [...picked, JSON.stringify({ jsonrpc: '2.0', id: childId, result: { last: true } })];
          };
          const answer = await client.request('tools/call', { name: 'x', _meta: { progressToken: 'p' } }, id);
          const own = answer.messages.filter((message) => message.method === undefined);
          return isAnswer(answer) && own.length === 1 && own[0].id === id;
        },
      ),
      { numRuns: 300 },
    );
    expect(bridge.counters().inFlight).toBe(0);
  }, 60_000);
});
