// `minimcp bridge`, as a client that knows only stdio starts it: real clients of both eras in front of a real instance,
// with the supervisor killed, the instance restarted, and its lease over.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, connect as dial, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Transform } from 'node:stream';
import { Client as NewClient } from '@modelcontextprotocol/client';
import { StdioClientTransport as NewStdio } from '@modelcontextprotocol/client/stdio';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OldStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { InstanceWithToken, StatsView } from '../../src/api/contract.ts';
import { connectSdk, type Endpoint, run } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { root } from '../support/source.ts';

const bin = join(root, 'bin', 'minimcp.js');

// Each starts clients and instances of its own; a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000 });

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 12 });
});
afterAll(() => daemon.dispose());

const everything = (minutes = 30): Promise<InstanceWithToken> =>
  daemon.create({ mcp_type: 'everything', duration_minutes: minutes });

/** The command as a client's configuration has it. */
function command({ access_url: url, access_token: token }: Endpoint, name = 'scratch') {
  return {
    command: process.execPath,
    args: [bin, 'bridge', name, '--url', url],
    env: { PATH: process.env.PATH ?? '', MINIMCP_DATA_DIR: daemon.dataDir, MINIMCP_ACCESS_TOKEN: token },
    stderr: 'ignore' as const,
  };
}

type Mode = 'sdk 1' | 'legacy' | 'auto' | { pin: string };
const modes: readonly Mode[] = ['sdk 1', 'legacy', 'auto', { pin: '2026-07-28' }];

/** The calls the tests make, whichever line the client is of. */
interface Client {
  // biome-ignore lint/suspicious/noExplicitAny: the two lines have types of their own
  callTool(call: object, ...rest: any[]): Promise<object>;
  listTools(): Promise<{ tools: { name: string }[] }>;
  close(): Promise<void>;
  call(call: object, options?: object): Promise<object>;
}

const sampled = {
  model: 'test',
  role: 'assistant',
  content: { type: 'text', text: 'as I was told' },
} as const;
const capabilities = { elicitation: { form: {} }, sampling: {} };

async function bridged(endpoint: Endpoint, mode: Mode, name?: string): Promise<Client> {
  if (mode === 'sdk 1') {
    const client = new OldClient({ name: 'test', version: '1.0.0' }, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' }));
    client.setRequestHandler(CreateMessageRequestSchema, () => sampled);
    await client.connect(new OldStdio(command(endpoint, name)) as Parameters<OldClient['connect']>[0]);
    return Object.assign(client, {
      call: (call: object, options?: object) => client.callTool(call as never, undefined, options),
    }) as unknown as Client;
  }
  const client = new NewClient(
    { name: 'test', version: '1.0.0' },
    { capabilities, versionNegotiation: { mode } },
  );
  client.setRequestHandler('elicitation/create', () => ({ action: 'decline' }));
  client.setRequestHandler('sampling/createMessage', () => sampled);
  await client.connect(new NewStdio(command(endpoint, name)));
  expect(client.getNegotiatedProtocolVersion()).toBe(mode === 'legacy' ? '2025-11-25' : '2026-07-28');
  return Object.assign(client, {
    call: (call: object, options?: object) => client.callTool(call as never, options),
  }) as unknown as Client;
}

const echo = { name: 'echo', arguments: { message: 'through pipes' } };
const isEcho = { content: [{ type: 'text', text: 'Echo: through pipes' }] };
const long = (duration: number) => ({
  name: 'trigger-long-running-operation',
  arguments: { duration, steps: duration * 5 },
});

describe.each(modes)('a client on pipes (%o)', (mode) => {
  it('calls tools, hears progress, is asked, and cancels', async () => {
    const instance = await everything();
    const client = await bridged(instance, mode);
    expect(await client.call(echo)).toMatchObject(isEcho);
    const steps: unknown[] = [];
    await client.call(long(1), { onprogress: (step: unknown) => steps.push(step) });
    expect(steps.length).toBeGreaterThanOrEqual(3);

    const declined = await client.call({ name: 'trigger-elicitation-request', arguments: {} });
    expect(JSON.stringify(declined)).toMatch(/declined/i);
    const told = await client.call({ name: 'trigger-sampling-request', arguments: { prompt: 'hm' } });
    expect(JSON.stringify(told)).toContain('as I was told');

    const abort = new AbortController();
    const started = new Promise<void>((resolve) => {
      const options = { signal: abort.signal, onprogress: () => resolve() };
      client.call(long(60), options).catch(() => undefined);
    });
    await started;
    abort.abort();
    const inFlight = async () => {
      const { body } = await daemon.call<{ in_flight: number }>('GET', `/instances/${instance.id}/stats`);
      return body.data.in_flight;
    };
    expect(await client.call(echo)).toMatchObject(isEcho);
    await expect.poll(inFlight, { timeout: 20_000, interval: 500 }).toBe(0);
    await client.close();
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('does not notice that the instance was restarted', async () => {
    const instance = await everything();
    const client = await bridged(instance, mode, instance.name);
    expect(await client.call(echo)).toMatchObject(isEcho);
    const restarting = daemon.call('POST', `/instances/${instance.id}/restart`, {});
    await expect.poll(() => daemon.get(instance.id)).not.toMatchObject({ status: 'running', generation: 1 });
    // Waits for the new process, and is answered by it.
    expect(await client.call(echo)).toMatchObject(isEcho);
    await restarting;
    expect(await client.call(echo)).toMatchObject(isEcho);
    expect((await daemon.get(instance.id)).generation).toBeGreaterThan(instance.generation);
    const told = await client.call({ name: 'trigger-sampling-request', arguments: { prompt: 'hm' } });
    expect(JSON.stringify(told)).toContain('as I was told');
    await client.close();
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });
});

/** One of each era, on one instance. */
const bothEras = (instance: InstanceWithToken): Promise<Client[]> =>
  Promise.all([
    bridged(instance, 'sdk 1', instance.name),
    bridged(instance, { pin: '2026-07-28' }, instance.name),
  ]);

it('goes on when the supervisor is killed', async () => {
  const instance = await everything();
  const clients = await bothEras(instance);
  await daemon.kill9();
  clients.push(...(await bothEras(instance)));
  for (const client of clients) expect(await client.call(echo)).toMatchObject(isEcho);
  await daemon.start();
  for (const client of clients) expect(await client.call(echo)).toMatchObject(isEcho);
  await Promise.all(clients.map((client) => client.close()));
  await daemon.call('DELETE', `/instances/${instance.id}`);
});

it('says how to renew a lease that is over, and goes on when it was', async () => {
  const instance = await daemon.create({ mcp_type: 'everything', duration_minutes: 0.2 });
  const clients = await bothEras(instance);
  await daemon.until(instance.id, 'expired');
  const renew = new RegExp(`lease of this instance ended.*minimcp renew ${instance.name}`);
  for (const client of clients) await expect(client.call(echo)).rejects.toThrow(renew);
  await daemon.call('POST', `/instances/${instance.id}/renew`, { duration_minutes: 5 });
  for (const client of clients) expect(await client.call(echo)).toMatchObject(isEcho);
  await Promise.all(clients.map((client) => client.close()));
  await daemon.call('DELETE', `/instances/${instance.id}`);
});

it('takes up an answer again where its connection was cut', async () => {
  const instance = await everything();
  await using cut = await cuttable(instance.access_url);
  const client = await bridged({ ...instance, access_url: cut.url }, 'sdk 1');
  const steps: unknown[] = [];
  const done = client.call(long(2), {
    onprogress: (step: unknown) => {
      if (steps.push(step) === 2) cut.now();
    },
  });
  expect(JSON.stringify(await done)).toContain('completed');
  expect(cut.times()).toBe(1);
  expect(steps.length).toBeGreaterThanOrEqual(9);
  await client.close();
  await daemon.call('DELETE', `/instances/${instance.id}`);
});

describe('the command', () => {
  it('takes its token from the environment only, and says so', async () => {
    const env = { MINIMCP_DATA_DIR: daemon.dataDir };
    const missing = await run(process.execPath, [bin, 'bridge', 'x', '--url', 'http://127.0.0.1:1/mcp'], {
      env,
    });
    expect(missing).toMatchObject({ code: 2, stdout: '' });
    expect(missing.stderr).toContain('MINIMCP_ACCESS_TOKEN is not set');
  });

  it('finds its instance through the daemon, makes a token when asked to, and ends with its input', async () => {
    const instance = await everything();
    const env = { MINIMCP_DATA_DIR: daemon.dataDir };
    const list = { jsonrpc: '2.0', id: 1, method: 'initialize', params: initializeParams };
    const ended = await run(process.execPath, [bin, 'bridge', instance.name, '--new-token'], {
      ...{ env, input: `${JSON.stringify(list)}\nno json\n` },
    });
    expect(ended.code).toBe(0);
    const answers = ended.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          id: 1,
          result: expect.objectContaining({ protocolVersion: '2025-11-25' }),
        }),
        expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32_700 }) }),
      ]),
    );
    await expect(connectSdk(instance)).rejects.toThrow();
    // As a health check has found it that came later.
    const endedMs = Date.now();
    const sessions = async () => {
      const { body } = await daemon.call<StatsView>('GET', `/instances/${instance.id}/stats`);
      return Date.parse(body.data.checked_at ?? '') > endedMs ? body.data.sessions : null;
    };
    await expect.poll(sessions, { timeout: 60_000, interval: 500 }).toBe(0);
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('tells each request that its token is no good, and where a new one goes', async () => {
    const instance = await everything();
    {
      await using pipe = open({ ...instance, access_token: 'mcp_wrong' });
      for (const id of ['a', 'b']) {
        pipe.write({ jsonrpc: '2.0', id, method: 'initialize', params: initializeParams });
        const { error } = await pipe.answer(id);
        expect(error?.message).toContain('minimcp token scratch');
        expect(error?.message).toContain('MINIMCP_ACCESS_TOKEN');
      }
    }
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('holds its bounds in front of a server that never answers, and still ends with its input', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    {
      await using pipe = open({ access_url: `http://127.0.0.1:${port}/mcp`, access_token: 'mcp_any' });
      const params = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };
      for (let id = 1; id <= 257; id += 1) pipe.write({ jsonrpc: '2.0', id, method: 'tools/list', params });
      expect((await pipe.answer(257)).error?.message).toContain('256 requests are in flight');
      // Letting go of one makes room for one.
      pipe.write({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
      pipe.write({ jsonrpc: '2.0', id: 2, method: 'tools/list', params });
      expect((await pipe.answer(2)).error?.message).toContain('is in use');
      pipe.write({ jsonrpc: '2.0', id: 'big', method: 'x'.repeat(11 * 1_024 * 1_024), params });
      pipe.write({ jsonrpc: '2.0', id: 'last', method: 'tools/list', params });
      await expect.poll(() => sockets.length, { timeout: 15_000 }).toBe(257);
      expect(pipe.said()).toContain('a line of more than 10485760 bytes was thrown away');
    }
    silent.close();
    for (const socket of sockets) socket.destroy();
  });
});

const initializeParams = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'test', version: '1.0.0' },
};

interface Answered {
  readonly error?: { readonly message: string };
}

/** The command with its bare pipes. */
function open(endpoint: Endpoint) {
  const { command: program, args, env } = command(endpoint);
  const child: ChildProcess = spawn(program, args, { env, stdio: 'pipe' });
  let said = '';
  child.stderr?.on('data', (chunk) => (said += chunk));
  const answers = new Map<unknown, Answered>();
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const message = JSON.parse(line);
    answers.set(message.id, message);
  });
  return {
    write: (message: object) => child.stdin?.write(`${JSON.stringify(message)}\n`),
    said: () => said,
    async answer(id: unknown): Promise<Answered> {
      await expect.poll(() => answers.has(id), { timeout: 15_000 }).toBe(true);
      return answers.get(id) as Answered;
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.stdin?.end();
      const [code] = await exited;
      expect(code).toBe(0);
    },
  };
}

/** A way to an instance whose every connection can be cut at once. */
async function cuttable(target: string) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let times = 0;
  const server = createServer((socket) => {
    const other = dial({ host: hostname, port: Number(port) });
    // The door wants to be called by its own name.
    const named = new Transform({
      transform: (chunk, _, done) =>
        done(
          null,
          Buffer.from(chunk.toString('latin1').replace(`:${socket.localPort}`, `:${port}`), 'latin1'),
        ),
    });
    socket.pipe(named).pipe(other);
    other.pipe(socket);
    for (const [one, two] of [
      [socket, other],
      [other, socket],
    ] as const) {
      one.on('error', () => two.destroy());
      one.on('close', () => two.destroy());
      sockets.add(one);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    times: () => times,
    now() {
      times += 1;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
