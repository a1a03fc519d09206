// The database away, restarted, out of connections, slow: instances serve on and do not notice, the API says 503 with
// Retry-After, everything is back within ten seconds of its return, and nothing was killed because a check failed.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import { identify } from '../../src/runtime/process-identity.ts';
import { connectSdk } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  ask,
  gate,
  gatedServer,
  processesOf,
  request,
  rowOf,
  servesWithin,
  signalAll,
  untilChild,
  untilRow,
} from '../support/gated.ts';
import { type OwnDatabase, ownDatabase } from '../support/own-database.ts';
import { untilPromisesHold } from '../support/promises.ts';
import { addProgramType } from '../support/types.ts';

const backMs = 10_000;
const patient = { era: 'legacy', start_timeout_seconds: 120 };
let database: OwnDatabase;
let daemon: Daemon;
beforeAll(async () => {
  database = await ownDatabase();
  daemon = await startDaemon({ database, proxied: true });
  await addProgramType(daemon, 'gated', gatedServer, patient);
}, 60_000);
afterAll(async () => {
  await daemon?.dispose();
  await database?.dispose();
});
afterEach(async () => {
  const rows = await database.db.query<{ id: string }>(
    'SELECT id FROM mcp_instances WHERE deleted_at IS NULL',
  );
  await Promise.all(rows.map(({ id }) => ask(daemon, 'DELETE', `/instances/${id}`)));
  await untilPromisesHold(daemon);
}, 60_000);

const isRunning = ({ status }: { status: string }): boolean => status === 'running';

async function run(fields: Record<string, unknown> = {}): Promise<InstanceWithToken> {
  const instance = await request(daemon, { mcp_type: 'gated', duration_minutes: 30, ...fields });
  await untilChild(daemon, instance.id);
  gate(daemon, instance.id, 'go');
  await untilRow(daemon, instance.id, isRunning);
  return instance;
}

/** Calls an instance one call after the other until stopped. */
async function traffic(
  instance: InstanceWithToken,
): Promise<{ stop(): Promise<{ calls: number; failed: number }> }> {
  const client = await connectSdk(instance);
  let going = true;
  let calls = 0;
  let failed = 0;
  const loop = (async () => {
    for (; going; calls += 1) {
      await client.callTool({ name: 'any' }).catch(() => {
        failed += 1;
      });
      await sleep(5);
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

/** The API says what is the matter, and that it is worth trying again. */
async function apiSaysAway(): Promise<void> {
  const within = { signal: AbortSignal.timeout(20_000) };
  const answers = await Promise.all([
    ask(daemon, 'GET', '/instances', undefined, within),
    ask(daemon, 'POST', '/instances', { mcp_type: 'gated' }, within),
  ]);
  for (const answer of answers) {
    expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable', status: 503 } });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  const ready = await fetch(`${daemon.url()}/readyz`, within);
  expect(ready.status).toBe(503);
  expect(Number(ready.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await fetch(`${daemon.url()}/healthz`, within)).status).toBe(200);
}

/** @returns how long it took until the API and the checks answered again */
async function untilBack(): Promise<number> {
  const startedMs = performance.now();
  const isBack = async (): Promise<boolean> => {
    const within = { signal: AbortSignal.timeout(5_000) };
    const statuses = await Promise.all([
      ask(daemon, 'GET', '/instances', undefined, within).then(({ status }) => status),
      fetch(`${daemon.url()}/readyz`, within).then(({ status }) => status),
    ]).catch(() => [0]);
    return statuses.every((status) => status === 200);
  };
  while (!(await isBack())) {
    if (performance.now() - startedMs > 60_000) throw new Error('it is not back after a minute');
    await sleep(100);
  }
  return performance.now() - startedMs;
}

describe('the database away for twelve seconds', () => {
  it('costs no call, kills nothing, and all that happened meanwhile is settled at its return', async () => {
    const served = await Promise.all([run(), run()]);
    const ending = await run({ duration_minutes: 0.1 });
    const starting = await request(daemon, { mcp_type: 'gated', duration_minutes: 30 });
    await untilChild(daemon, starting.id);
    const lost = await run();
    const before = await Promise.all(served.map(({ id }) => rowOf(daemon, id)));
    const ends = processesOf(await rowOf(daemon, ending.id));
    const calls = await Promise.all(served.map(traffic));

    daemon.proxy?.cut();
    gate(daemon, starting.id, 'go');
    signalAll([processesOf(await rowOf(daemon, lost.id)).shim], 'SIGKILL');
    await apiSaysAway();
    await sleep(12_000);
    // Its deadline came while nobody could decide anything: its shim kept it.
    expect(identify(ends.shim)).toBeUndefined();
    await apiSaysAway();

    daemon.proxy?.reopen();
    const startedMs = performance.now();
    expect(await untilBack()).toBeLessThan(backMs);
    await untilRow(daemon, ending.id, ({ status }) => status === 'expired');
    await untilRow(daemon, starting.id, isRunning);
    gate(daemon, lost.id, 'go');
    await untilRow(daemon, lost.id, (row) => isRunning(row) && row.generation === 2);
    expect(performance.now() - startedMs).toBeLessThan(backMs);
    for (const { stop } of calls) {
      const { calls: made, failed } = await stop();
      expect(failed).toBe(0);
      expect(made).toBeGreaterThan(100);
    }
    for (const row of before) {
      const { status, generation, handle, process_id } = row;
      expect(await rowOf(daemon, row.id)).toMatchObject({ status, generation, handle, process_id });
    }
  }, 90_000);
});

describe('the database away too briefly for a renewal to notice', () => {
  it('costs nothing for longer: what could not be written is settled within ten seconds, not at the next tick', async () => {
    const [lost, starting] = [
      await run(),
      await request(daemon, { mcp_type: 'gated', duration_minutes: 30 }),
    ];
    await untilChild(daemon, starting.id);
    const { shim } = processesOf(await rowOf(daemon, lost.id));
    daemon.proxy?.cut();
    signalAll([shim], 'SIGKILL');
    gate(daemon, starting.id, 'go');
    await sleep(600);
    daemon.proxy?.reopen();
    await untilRow(daemon, starting.id, isRunning, backMs);
    await untilRow(daemon, lost.id, (row) => isRunning(row) && row.generation === 2, backMs);
  }, 60_000);
});

describe('the database and the supervisor away at the deadline', () => {
  it('leave the end to the shim; the row follows on their return', async () => {
    const instance = await run({ duration_minutes: 0.1 });
    const { shim, children } = processesOf(await rowOf(daemon, instance.id));
    daemon.proxy?.cut();
    await daemon.kill9();
    await expect
      .poll(() => [shim, ...children].filter((pid) => identify(pid) !== undefined), { timeout: 20_000 })
      .toEqual([]);
    daemon.proxy?.reopen();
    await daemon.start();
    expect(await untilRow(daemon, instance.id, ({ status }) => status === 'expired', backMs)).toMatchObject({
      stop_reason: 'expired',
      assigned_port: null,
    });
  }, 60_000);
});

describe('a database', () => {
  it('restarted under everybody is found again', async () => {
    const instance = await run();
    const row = await rowOf(daemon, instance.id);
    await database.stop();
    await database.start();
    expect(await untilBack()).toBeLessThan(backMs);
    expect(await rowOf(daemon, instance.id)).toMatchObject({ status: 'running', handle: row.handle });
    expect(await servesWithin(instance, 5_000)).toBe(true);
  }, 60_000);

  it('out of connections is away, and back when there are some', async () => {
    const instance = await run();
    const row = await rowOf(daemon, instance.id);
    const held: Client[] = [];
    const grab = async (): Promise<boolean> => {
      const client = new Client({ ...database.connection, application_name: 'greedy' });
      client.on('error', () => {});
      return client.connect().then(
        () => {
          held.push(client);
          return true;
        },
        () => false,
      );
    };
    while (await grab());
    // What the supervisor has is taken from it, place by place, until it has none.
    const [first] = held;
    for (let turns = 0; turns < 200; turns += 1) {
      await first?.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'minimcp%'`,
      );
      if (!(await grab()) && turns > 20) {
        const left = await first?.query(
          `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name LIKE 'minimcp%'`,
        );
        if (left?.rows[0].count === 0) break;
      }
    }
    await apiSaysAway();
    await Promise.all(held.map((client) => client.end()));
    expect(await untilBack()).toBeLessThan(backMs);
    expect(await rowOf(daemon, instance.id)).toMatchObject({ status: 'running', handle: row.handle });
    expect(await servesWithin(instance, 5_000)).toBe(true);
  }, 60_000);

  it('that takes a third of a second for each statement slows everything down and breaks nothing', async () => {
    const { proxy } = daemon;
    if (proxy === undefined) throw new Error('it was asked for a proxy');
    const running = await run();
    const row = await rowOf(daemon, running.id);
    proxy.beforeStatement = () => sleep(333);
    try {
      const instance = await request(daemon, { mcp_type: 'gated', duration_minutes: 30 });
      await untilChild(daemon, instance.id);
      gate(daemon, instance.id, 'go');
      await untilRow(daemon, instance.id, isRunning);
      expect((await ask(daemon, 'POST', `/instances/${instance.id}/stop`)).status).toBe(202);
      await untilRow(daemon, instance.id, ({ status }) => status === 'disconnected');
      expect((await fetch(`${daemon.url()}/readyz`)).status).toBe(200);
    } finally {
      proxy.beforeStatement = undefined;
    }
    expect(await rowOf(daemon, running.id)).toMatchObject({ status: 'running', handle: row.handle });
    expect(await servesWithin(running, 5_000)).toBe(true);
  }, 90_000);
});
