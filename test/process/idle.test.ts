// Idle stop and wake: no process while nobody asks, one descriptor on the port, and the next request is held and
// answered. What is no request (an open stream, a stranger) keeps nothing awake and wakes nothing.
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceView, InstanceWithToken } from '../../src/api/contract.ts';
import { connectSdk } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon();
});
afterAll(() => daemon.dispose());

const asleep = async (body: Record<string, unknown> = {}): Promise<InstanceWithToken> => {
  const instance = await daemon.create({
    mcp_type: 'memory',
    duration_minutes: 10,
    idle_minutes: 0.02,
    ...body,
  });
  // An open stream is not activity.
  const client = await connectSdk(instance);
  await client.listTools();
  const row = await daemon.until(instance.id, 'disconnected');
  expect(row).toMatchObject({ stop_reason: 'idle', process_id: null, assigned_port: instance.assigned_port });
  await client.close().catch(() => {});
  // The row says so a moment before the supervisor listens.
  const stream = {
    headers: { authorization: `Bearer ${instance.access_token}`, accept: 'text/event-stream' },
  };
  const status = (): Promise<number> =>
    fetch(instance.access_url, stream).then(
      (answer) => answer.status,
      () => 0,
    );
  await expect.poll(status, { timeout: 10_000 }).toBe(405);
  return instance;
};

const post = (instance: InstanceWithToken, token: string): Promise<Response> =>
  fetch(instance.access_url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    }),
  });

/** What another user gets who wants to share a port, as sockets of one user may. */
async function shareAs(uid: number, dataDir: string, port: number): Promise<string> {
  const node = readdirSync(join(dataDir, 'store')).find((name) => name.startsWith('node-')) ?? '';
  const script = `const server = require('node:net').createServer();
    server.once('error', (error) => process.stdout.write(error.code));
    server.listen({ host: '127.0.0.1', port: ${port}, reusePort: true }, () => {
      process.stdout.write('shared');
      server.close();
    });`;
  const { stdout } = await promisify(execFile)(join(dataDir, 'store', node, 'bin', 'node'), ['-e', script], {
    ...{ uid, gid: uid, cwd: '/', env: {} },
  });
  return stdout;
}

interface Knocking {
  /** Connections that were answered, each a new one. */
  readonly answered: () => number;
  /** What became of the others, in words. */
  readonly failed: readonly string[];
  stop(): Promise<void>;
}

/** Connects again and again, one connection after the other, and asks for what neither wakes nor keeps awake. */
function knock(instance: InstanceWithToken): Knocking {
  const { hostname, port } = new URL(instance.access_url);
  const failed: string[] = [];
  let answered = 0;
  let stopped = false;
  const once = (): Promise<void> =>
    new Promise((resolve) => {
      let text = '';
      let problem: string | undefined;
      const socket = connect(Number(port), hostname);
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        problem = error.code;
      });
      socket.on('close', () => {
        if (text.startsWith('HTTP/1.1 200 ')) answered += 1;
        else failed.push(problem ?? (text.split('\r\n')[0] || 'no answer'));
        resolve();
      });
      socket.write(`GET /healthz HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: close\r\n\r\n`);
    });
  const loop = (async () => {
    // Hundreds a second: a door that is shut for ten milliseconds is met, and its keepers are not all the machine does.
    for (; !stopped; await sleep(2)) await once();
  })();
  return {
    answered: () => answered,
    failed,
    stop() {
      stopped = true;
      return loop;
    },
  };
}

describe('an idle instance', () => {
  it('sleeps without a process and is woken by the next request, which is answered', async () => {
    const instance = await asleep();
    const stranger = await post(instance, 'mcp_stranger');
    expect(stranger.status).toBe(401);
    expect((await daemon.get(instance.id)).status).toBe('disconnected');

    const answers = await Promise.all([1, 2, 3].map(() => post(instance, instance.access_token)));
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(await answer.text()).toContain('serverInfo');
    }
    expect(await daemon.get(instance.id)).toMatchObject({
      status: 'running',
      generation: 2,
      assigned_port: instance.assigned_port,
    });
    await daemon.call('DELETE', `/instances/${instance.id}`);
  }, 60_000);

  it('is woken after its supervisor was killed, and by hand', async () => {
    const instance = await asleep();
    await daemon.kill9();
    await daemon.start();
    expect((await post(instance, instance.access_token)).status).toBe(200);
    await daemon.until(instance.id, 'disconnected');
    const restored = await daemon.call<InstanceView>('POST', `/instances/${instance.id}/restore`);
    expect(restored.body.data.status).toBe('running');
    await daemon.call('DELETE', `/instances/${instance.id}`);
  }, 60_000);

  // Without users of their own, sockets cannot share a port safely: docs/adr/0017.
  it.skipIf(process.getuid?.() !== 0)(
    'refuses no connection on its way to sleep, awake, and through a restart',
    async () => {
      const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 10, idle_minutes: 0.02 });
      expect(await shareAs(64_999, daemon.dataDir, Number(instance.assigned_port))).toBe('EADDRINUSE');
      const knocking = knock(instance);
      for (let round = 1; round <= 3; round += 1) {
        // Adopted by another supervisor meanwhile, which has no socket of the one before.
        if (round === 2) {
          await daemon.kill9();
          await daemon.start();
        }
        await daemon.until(instance.id, 'disconnected');
        const before = knocking.answered();
        await expect.poll(knocking.answered).toBeGreaterThan(before + 20);
        expect((await post(instance, instance.access_token)).status).toBe(200);
        expect(await daemon.get(instance.id)).toMatchObject({ status: 'running', generation: round + 1 });
      }
      const restarted = await daemon.call<InstanceView>('POST', `/instances/${instance.id}/restart`);
      expect(restarted.body.data).toMatchObject({ status: 'running', generation: 5 });
      await knocking.stop();
      // A shim that leaves its port may be kept from the processor between its last look at who waits there and the end
      // of its socket; of a client that is always connecting that is one connection at most, reset and not refused. One that
      // has come in and not spoken by the end is closed.
      const handOvers = 4;
      const isOfTheEnd = (word: string): boolean => word === 'ECONNRESET' || word === 'no answer';
      expect(knocking.failed.filter((word) => !isOfTheEnd(word))).toEqual([]);
      expect(knocking.failed.length).toBeLessThanOrEqual(handOvers);
      await daemon.call('DELETE', `/instances/${instance.id}`);
    },
    90_000,
  );

  it('gives its port back when it is stopped by hand, and when its lease ends', async () => {
    const [stopped, expiring] = await Promise.all([asleep(), asleep({ duration_minutes: 0.3 })]);
    expect(await daemon.call('POST', `/instances/${stopped.id}/stop`)).toMatchObject({ status: 200 });
    expect(await daemon.get(stopped.id)).toMatchObject({
      status: 'disconnected',
      stop_reason: 'user',
      assigned_port: null,
    });
    await expect(post(stopped, stopped.access_token)).rejects.toThrow();
    expect(await daemon.until(expiring.id, 'expired')).toMatchObject({ assigned_port: null });
    await expect(post(expiring, expiring.access_token)).rejects.toThrow();
  }, 60_000);
});
