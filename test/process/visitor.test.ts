// What the API's own client does in front of a real shim: it lists and calls, in either era, and whatever the server does
// it comes back within its bounds, takes back what it asked, and leaves no session behind.
import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  callToolOf,
  type Entrance,
  listToolsOf,
  type VisitBounds,
  visitBounds,
} from '../../src/api/visitor.ts';
import { connectLegacy, type LegacyClient } from '../support/mcp-http.ts';
import { endpointOf, receivedBy, startRawShim } from '../support/raw-shim.ts';
import { freePort, type RunningShim, startShim, until } from '../support/shim-harness.ts';

const never = new AbortController().signal;
const fixtures = join(import.meta.dirname, '../fixtures/mcp');

/** Says to the shim what the supervisor would. */
async function tell(shim: RunningShim, token: string, remainingMs: number): Promise<void> {
  const tokenSha256 = createHash('sha256').update(token).digest('hex');
  const control = await shim.control();
  const reply = await control.request({ method: 'visitor', visitor: { tokenSha256, remainingMs } });
  control.close();
  if ('error' in reply) throw new Error(reply.error.code);
}

/** Lets somebody in for as long as `talk` takes. */
async function visit<T>(shim: RunningShim, talk: (entrance: Entrance) => Promise<T>): Promise<T> {
  const token = `mmv_${randomUUID()}`;
  await tell(shim, token, 60_000);
  try {
    return await talk({ url: shim.url, token });
  } finally {
    await tell(shim, token, 0);
  }
}

const textOf = ({ content }: Awaited<ReturnType<typeof callToolOf>>) =>
  content.map(({ text }) => text).join('\n');

describe('a visitor', () => {
  let shim: RunningShim;
  let owner: LegacyClient;
  beforeAll(async () => {
    shim = await startRawShim();
    owner = await connectLegacy(endpointOf(shim));
  });
  afterAll(() => shim.dispose());

  const call = async (
    name: string,
    given: Record<string, unknown> = {},
    bounds: Partial<VisitBounds> = {},
    signal = never,
  ) =>
    visit(shim, (entrance) =>
      callToolOf(entrance, { name, arguments: given }, signal, { ...visitBounds, ...bounds }),
    );

  it('lists and calls, and leaves no session behind', async () => {
    const { sessions } = await shim.state();
    const tools = await visit(shim, (entrance) => listToolsOf(entrance, never));
    expect(tools).toContainEqual({ name: 'echo', inputSchema: { type: 'object' } });
    expect(await call('echo', { a: 1 })).toEqual({
      content: [{ type: 'text', text: '{"a":1}' }],
      is_error: false,
    });
    expect(await shim.state()).toMatchObject({ sessions, inFlight: 0 });
  });

  it('is refused after its time, and where it was not let in', async () => {
    const refused = { code: 'instance_unreachable', message: expect.stringMatching(/401|unauthorized/i) };
    const left: Entrance[] = [];
    await visit(shim, async (entrance) => {
      expect(await listToolsOf(entrance, never)).not.toEqual([]);
      left.push(entrance);
    });
    for (const entrance of left) await expect(listToolsOf(entrance, never)).rejects.toMatchObject(refused);
    await tell(shim, 'mmv_short', 50);
    const again = () => listToolsOf({ url: shim.url, token: 'mmv_short' }, never).catch(({ code }) => code);
    await expect.poll(again).toBe('instance_unreachable');

    await using other = await startRawShim();
    await visit(shim, async ({ token }) => {
      await expect(listToolsOf({ url: other.url, token }, never)).rejects.toMatchObject(refused);
    });
    expect((await other.state()).requests).toBe(0);
  });

  it('waits for no answer longer than it may, and takes its call back', async () => {
    const cancelled = async () =>
      (await receivedBy(owner)).received.filter(({ method }) => method === 'notifications/cancelled').length;
    const before = await cancelled();
    await expect(call('never', {}, { talkMs: 3_000 })).rejects.toMatchObject({
      code: 'instance_timeout',
      message: 'no answer within 3 s',
    });
    await until(async () => ((await cancelled()) === before + 1 ? true : undefined), 'the cancellation');
    expect(await shim.state()).toMatchObject({ inFlight: 0 });

    const left = new AbortController();
    const calling = call('never', {}, {}, left.signal);
    await until(async () => ((await shim.state()).inFlight > 0 ? true : undefined), 'the call');
    left.abort();
    await expect(calling).rejects.toMatchObject({ code: 'instance_timeout' });
    await until(async () => ((await cancelled()) === before + 2 ? true : undefined), 'the cancellation');
  });

  it('takes no more than it may', async () => {
    expect(textOf(await call('big', { bytes: 1_000_000 }))).toHaveLength(1_000_000);
    const over = {
      code: 'instance_unreachable',
      message: `what it answers is over ${visitBounds.bytesMax} bytes`,
    };
    await expect(call('big', { bytes: visitBounds.bytesMax })).rejects.toMatchObject(over);
  });

  it('answers no question of the server', async () => {
    for (const method of ['elicitation/create', 'sampling/createMessage', 'roots/list']) {
      const asked = JSON.parse(textOf(await call('ask', { method, params: { message: 'who?' } })));
      expect([method, asked]).toEqual([method, { error: expect.objectContaining({ code: -32601 }) }]);
    }
  });

  it('gives back as a result what the server refuses, and as a failure what is no answer', async () => {
    const refusing = '{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"no such tool"}}';
    const refused = await call('answerRaw', { line: refusing });
    expect(refused).toMatchObject({
      is_error: true,
      content: [{ text: expect.stringContaining('no such tool') }],
    });
    await expect(
      call('answerRaw', { line: '{"jsonrpc":"2.0","id":ID,"result":{"content":7}}' }),
    ).rejects.toMatchObject({ code: 'instance_unreachable' });
  });

  it('finds nobody where nobody listens', async () => {
    const url = `http://127.0.0.1:${await freePort()}/mcp`;
    await expect(listToolsOf({ url, token: 'mmv_x' }, never)).rejects.toMatchObject({
      code: 'instance_unreachable',
    });
  });
});

describe('a list', () => {
  /** A server whose every page has so many tools and a next one. */
  const endless = (perPage: number) => `
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method, params } = JSON.parse(line);
      if (id === undefined) return;
      const page = Number(params?.cursor ?? 0);
      const tools = Array.from({ length: ${perPage} }, (_, at) => ({ name: page + '-' + at, inputSchema: { type: 'object' } }));
      const serverInfo = { name: 'endless', version: '1' };
      const result = method === 'initialize'
        ? { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo }
        : { tools, nextCursor: String(page + 1) };
      process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
    });`;

  it('goes over pages, and ends where it is long enough', async () => {
    await using shim = await startShim({ child: { args: ['-e', endless(300)] } });
    const tools = await visit(shim, (entrance) => listToolsOf(entrance, never));
    expect(tools).toHaveLength(1_000);
    expect(tools.at(-1)?.name).toBe('3-99');
  });

  it('whose pages are empty ends too', async () => {
    await using shim = await startShim({ child: { args: ['-e', endless(0)] } });
    expect(
      await visit(shim, (entrance) => listToolsOf(entrance, never, { ...visitBounds, pagesMax: 5 })),
    ).toEqual([]);
  });
});

describe('a server of the modern era', () => {
  it('is listed and called; that it asks for input is declined', async () => {
    await using shim = await startShim({
      child: { args: [join(fixtures, 'modern-server.ts')], era: 'modern' },
    });
    const tools = await visit(shim, (entrance) => listToolsOf(entrance, never));
    expect(tools.map(({ name }) => name)).toContain('test_simple_text');
    const call = (name: string) =>
      visit(shim, (entrance) => callToolOf(entrance, { name, arguments: {} }, never));
    expect(textOf(await call('test_simple_text'))).toContain('simple text');
    const asking = tools.map(({ name }) => name).filter((name) => /elicit|input_required/.test(name));
    expect(asking).not.toEqual([]);
    for (const name of asking.slice(0, 2))
      expect([name, await call(name)]).toEqual([name, expect.objectContaining({ is_error: true })]);
  });
});
