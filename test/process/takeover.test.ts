// The supervisor killed −9 with instances under traffic, and started again: same processes, same ports, no failed call.
// And what a look from outside must never find: a key or a token in the database or in anybody's command line.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import { dumpOf } from '../support/canary.ts';
import { connectSdk } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon();
});
afterAll(() => daemon.dispose());

/** Calls an instance without a pause until told to stop. */
async function traffic(
  instance: InstanceWithToken,
): Promise<{ stop(): Promise<{ calls: number; failed: number }> }> {
  const client = await connectSdk(instance);
  let going = true;
  let calls = 0;
  let failed = 0;
  const loop = (async () => {
    while (going) {
      await client.callTool({ name: 'echo', arguments: { message: String(calls) } }).catch(() => {
        failed += 1;
      });
      calls += 1;
    }
  })();
  return {
    stop: async () => {
      going = false;
      await loop;
      await client.close();
      return { calls, failed };
    },
  };
}

describe('a supervisor killed −9', () => {
  it('finds its instances again: same processes, same ports, no failed call', async () => {
    const made = await Promise.all(
      [1, 2, 3].map(() => daemon.create({ mcp_type: 'everything', duration_minutes: 10 })),
    );
    const before = await Promise.all(made.map(({ id }) => daemon.get(id)));
    const running = await Promise.all(made.map(traffic));
    await daemon.kill9();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await daemon.start();
    const after = await Promise.all(made.map(({ id }) => daemon.get(id)));
    for (const [at, instance] of after.entries()) {
      const { status, process_id, assigned_port, generation } = before[at] ?? instance;
      expect(instance).toMatchObject({ status, process_id, assigned_port, generation });
    }
    const results = await Promise.all(running.map((one) => one.stop()));
    for (const { calls, failed } of results) {
      expect(failed).toBe(0);
      expect(calls).toBeGreaterThan(10);
    }
    await Promise.all(made.map(({ id }) => daemon.call('DELETE', `/instances/${id}`)));
    for (const { id } of made)
      await expect
        .poll(async () => (await daemon.call('GET', `/instances/${id}`)).status, { timeout: 15_000 })
        .toBe(404);
  }, 60_000);

  it('is refused as a second one while the first lives, with a word about who holds the node', async () => {
    await expect(daemon.start()).rejects.toThrow(new RegExp(`is held by pid ${daemon.pid()}`));
  });
});

describe('secrets', () => {
  it('stand neither in the database nor in a command line, and the key only in the environment of the child', async () => {
    const key = 'ghp_canary0123456789abcdefghijklmnopqrst';
    expect((await daemon.call('PUT', '/api-keys/github', { api_key: key })).status).toBeLessThan(300);
    const instance = await daemon.create({ mcp_type: 'github', duration_minutes: 5 });
    const dump = await dumpOf(daemon.database);
    expect(dump).toContain(instance.id);
    for (const secret of [key, Buffer.from(key).toString('base64'), instance.access_token, daemon.adminToken])
      expect(dump).not.toContain(secret);

    const holders: string[] = [];
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const read = (file: string): string => {
        try {
          return readFileSync(join('/proc', pid, file), 'utf8');
        } catch {
          return '';
        }
      };
      for (const secret of [key, instance.access_token]) expect(read('cmdline')).not.toContain(secret);
      if (read('environ').includes(key)) holders.push(read('cmdline'));
    }
    expect(
      holders.every((cmdline) => /server-github|bwrap/.test(cmdline)),
      holders.join('\n'),
    ).toBe(true);
    await daemon.call('DELETE', `/instances/${instance.id}`);
  }, 60_000);

  it('needed and missing are refused with 422 before a port is taken', async () => {
    await daemon.call('DELETE', '/api-keys/github');
    const answer = await daemon.call('POST', '/instances', { mcp_type: 'github' });
    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'api_key_required', errors: [{ pointer: '/mcp_type' }] },
    });
  });
});
