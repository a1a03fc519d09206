import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ControlReply } from '../../src/shim/contract.ts';
import { openSession, textOf } from '../support/shim-calls.ts';
import { type ControlClient, type RunningShim, startShim, until } from '../support/shim-harness.ts';

const fixture = join(import.meta.dirname, '../fixtures/mcp-child.ts');
const hello = (epoch: number) => ({ method: 'hello', contract: 1, epoch });
const codeOf = (reply: ControlReply): string => ('error' in reply ? reply.error.code : 'state');

let shim: RunningShim;
beforeAll(async () => {
  shim = await startShim({ child: { args: [fixture] } });
});
afterAll(() => shim.dispose());

const clients: ControlClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  expect((await shim.state()).phase).toBe('running');
});

async function control(epoch?: number): Promise<ControlClient> {
  const client = await shim.control(epoch);
  clients.push(client);
  return client;
}

/** A connection that has said nothing yet. */
function raw(to: RunningShim = shim): Promise<{ socket: Socket; replies: ControlReply[] }> {
  const replies: ControlReply[] = [];
  return new Promise((resolve, reject) => {
    const socket = connect(join(to.bundleDir, 'control.sock'));
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      replies.push(...lines.map((line) => JSON.parse(line) as ControlReply));
    });
    socket.once('connect', () => resolve({ socket, replies })).once('error', reject);
  });
}

describe('the control socket', () => {
  it('answers what it cannot read with an error, and reads on', async () => {
    const { socket, replies } = await raw();
    const wrong = [
      'not json',
      '[]',
      'null',
      '42',
      '{"method":"state"}',
      '{"id":"1","method":"state"}',
      '{"id":1.5,"method":"state"}',
      '{"id":1,"method":"reboot"}',
      '{"id":1}',
      '{"id":1,"method":"hello","contract":"1","epoch":1}',
      '{"id":1,"method":"hello","contract":1,"epoch":-1}',
      '{"id":1,"method":"stop","reason":"no such word!","drainMs":0,"graceMs":0}',
      '{"id":1,"method":"stop","reason":"user","drainMs":-1,"graceMs":0}',
      '{"id":1,"method":"stop","reason":"user","drainMs":1e999,"graceMs":0}',
      '{"id":1,"method":"deadline"}',
      '{"id":1,"method":"deadline","lease":{"remainingMs":"1","expiresAt":"2099-01-01T00:00:00Z"}}',
      '{"id":1,"method":"deadline","lease":{"remainingMs":1,"expiresAt":"soon"}}',
      '{"id":1,"method":"token","tokenSha256":"abc"}',
      '{"id":1,"method":"visitor"}',
      '{"id":1,"method":"visitor","visitor":{"tokenSha256":"abc","remainingMs":1}}',
      `{"id":1,"method":"visitor","visitor":{"tokenSha256":"${'ab'.repeat(32)}","remainingMs":-1}}`,
      '{"id":1,"method":"__proto__"}',
      '\u0000\u0001',
      '['.repeat(50_000),
    ];
    socket.write(`${wrong.join('\n')}\n\n`);
    await until(() => replies.length === wrong.length || undefined, 'every refusal');
    expect(replies.map(codeOf)).toEqual(wrong.map(() => 'malformed'));
    socket.write(`${JSON.stringify({ id: 7, ...hello(1) })}\n`);
    await until(() => replies.length > wrong.length || undefined, 'the answer to hello');
    expect(replies.find((reply) => reply.id === 7)).toMatchObject({ id: 7, state: { phase: 'running' } });
    socket.destroy();
  });

  it('wants a hello first, in a contract it speaks', async () => {
    const { socket, replies } = await raw();
    socket.write('{"id":1,"method":"state"}\n{"id":2,"method":"hello","contract":99,"epoch":1}\n');
    await until(() => replies.length === 2 || undefined, 'both refusals');
    expect(replies.map(codeOf)).toEqual(['malformed', 'contract']);
    socket.destroy();
  });

  it('lets go of those who say nothing', async () => {
    const { socket } = await raw();
    const startedMs = performance.now();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(performance.now() - startedMs).toBeGreaterThan(4_500);
  });

  it('refuses a line without end, and holds nothing of it', async () => {
    const { socket, replies } = await raw();
    const before = (await shim.state()).rssBytes;
    const chunk = Buffer.alloc(1024 * 1024, 120);
    for (let i = 0; i < 256; i++) {
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
    }
    socket.write('\n{"id":3,"method":"hello","contract":1,"epoch":1}\n');
    await until(() => replies.length === 2 || undefined, 'the answers');
    expect(replies.map(codeOf)).toEqual(['malformed', 'state']);
    expect((await shim.state()).rssBytes - before).toBeLessThan(56 * 1024 * 1024);
    socket.destroy();
  });

  it('reads requests however they are cut, and many at once', async () => {
    const { socket, replies } = await raw();
    const text = `${JSON.stringify({ id: 1, ...hello(1), unknown: 'field' })}\n`;
    for (const char of text) {
      socket.write(char);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(Array.from({ length: 100 }, (_, i) => `{"id":${i + 2},"method":"state"}\n`).join(''));
    await until(() => replies.length === 101 || undefined, 'the answers');
    expect(replies.map((reply) => reply.id)).toEqual(Array.from({ length: 101 }, (_, i) => i + 1));
    socket.destroy();
  });

  it('serves eight connections and closes the ninth', async () => {
    const own = await startShim({ child: { args: [fixture] } });
    try {
      // With the harness's own they are eight.
      const seven = await Promise.all(Array.from({ length: 7 }, () => own.control()));
      const { socket } = await raw(own);
      await new Promise((resolve) => socket.once('close', resolve));
      seven[0]?.close();
      await until(
        () =>
          own
            .control()
            .then(() => true as const)
            .catch(() => undefined),
        'a free place',
      );
    } finally {
      await own.dispose();
    }
  });

  it('replaces the token at once', async () => {
    const own = await startShim({ child: { args: [fixture] } });
    try {
      const client = await own.control();
      const next = 'mcp_another';
      const tokenSha256 = createHash('sha256').update(next).digest('hex');
      expect(codeOf(await client.request({ method: 'token', tokenSha256 }))).toBe('state');
      await expect(openSession(own)).rejects.toThrow('401');
      const call = await openSession({ url: own.url, token: next });
      expect(textOf(await call('echo', { text: 'in' }))).toBe('in');
    } finally {
      await own.dispose();
    }
  });

  it('fences a supervisor once a newer one has spoken', async () => {
    const own = await startShim({ child: { args: [fixture] } });
    try {
      const old = await own.control(5);
      const newer = await own.control(6);
      for (const request of [
        { method: 'state' },
        { method: 'stop', reason: 'user', drainMs: 0, graceMs: 0 },
        { method: 'deadline', lease: { remainingMs: 0, expiresAt: '2099-01-01T00:00:00Z' } },
        { method: 'token', tokenSha256: '0'.repeat(64) },
        hello(5),
      ]) {
        expect(codeOf(await old.request(request))).toBe('fenced');
      }
      expect(codeOf(await newer.request({ method: 'state' }))).toBe('state');
      // News goes to the newer one alone.
      const heard = old.news.length;
      const call = await openSession(own);
      await call('stderr', { text: 'words\n' });
      await until(() => newer.news.find((news) => news.news === 'spooled'), 'news');
      expect(old.news.length).toBe(heard);
    } finally {
      await own.dispose();
    }
  });

  it('tells of new lines, but not of each', async () => {
    const client = await control();
    const call = await openSession(shim);
    const startedMs = performance.now();
    for (let i = 0; i < 100; i++) await call('stderr', { text: `line ${i}\n` });
    await shim.logged((line) => line.msg === 'line 99');
    const tookMs = performance.now() - startedMs;
    await until(() => client.news.find((news) => news.news === 'spooled'), 'news');
    const told = client.news.filter((news) => news.news === 'spooled').length;
    expect(told).toBeLessThanOrEqual(tookMs / 50 + 2);
  });
});
