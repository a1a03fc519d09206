// Leases against clocks and absences. The database's clock decides; the shim counts monotonic time from what it was told,
// so that it needs neither a wall clock nor anybody else to end in time; the supervisor's own clock decides nothing.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import { identify } from '../../src/runtime/process-identity.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  ask,
  gatedServer,
  processesOf,
  refusesConnections,
  request,
  rowOf,
  serves,
  untilChild,
  untilRow,
} from '../support/gated.ts';
import { holdStatements } from '../support/held-statements.ts';
import { untilPromisesHold } from '../support/promises.ts';
import { root } from '../support/source.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const hourMs = 3_600_000;
/** The sweep, the drain and the grace, on a busy machine. */
const endedWithinMs = 15_000;
const clockFile = join(tmpdir(), `minimcp-clock-${process.pid}`);
const isRunning = ({ status }: { status: string }): boolean => status === 'running';

async function open(proxied: boolean): Promise<Daemon> {
  const daemon = await startDaemon({
    proxied,
    env: {
      NODE_OPTIONS: `--import=${pathToFileURL(join(root, 'test', 'fixtures', 'shift-clock.mjs'))}`,
      MINIMCP_TEST_CLOCK: clockFile,
    },
  });
  await daemon.call('PUT', '/settings/mcp.max_instances_per_user', { value: 1_000 });
  await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy' });
  await addProgramType(daemon, 'gated', gatedServer, { era: 'legacy', start_timeout_seconds: 120 });
  return daemon;
}

async function run(daemon: Daemon, minutes: number): Promise<InstanceWithToken> {
  const instance = await request(daemon, { mcp_type: 'tiny', duration_minutes: minutes });
  await untilRow(daemon, instance.id, isRunning);
  return instance;
}

const setEnd = (daemon: Daemon, id: string, seconds: number, leaseSeconds = seconds): Promise<unknown> =>
  daemon.database.db.query(
    `UPDATE mcp_instances SET expires_at = clock_timestamp() + $2 * interval '1 second',
       lease_started_at = clock_timestamp() + ($2 - $3) * interval '1 second' WHERE id = $1`,
    [id, seconds, leaseSeconds],
  );

describe('with a supervisor', () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await open(false);
  }, 60_000);
  afterAll(async () => {
    await daemon?.dispose();
    // Not earlier: the supervisor reads it when its signal comes, which may take a while.
    rmSync(clockFile, { force: true });
  });

  it('a lease that ends while its server starts ends with it', async () => {
    const instance = await request(daemon, { mcp_type: 'gated', duration_minutes: 0.1 });
    const { shim, children } = processesOf(await untilChild(daemon, instance.id));
    const row = await untilRow(daemon, instance.id, ({ status }) => status === 'expired');
    expect(row).toMatchObject({ stop_reason: 'expired', ready_at: null, assigned_port: null });
    expect([shim, ...children].filter((pid) => identify(pid) !== undefined)).toEqual([]);
  }, 60_000);

  it('its owner is warned once, before the end', async () => {
    const { id } = await run(daemon, 30);
    await setEnd(daemon, id, 12, 120);
    await untilRow(daemon, id, ({ status }) => status === 'expired');
    const events = await daemon.database.db.query<{ event_type: string }>(
      `SELECT event_type FROM mcp_events WHERE mcp_instance_id = $1 AND event_type IN ('warned', 'expired')
       ORDER BY created_at, id`,
      [id],
    );
    expect(events.map((event) => event.event_type)).toEqual(['warned', 'expired']);
  }, 60_000);

  it('an extension ends at the cap, counted from the start of the lease', async () => {
    await daemon.call('PUT', '/settings/mcp.max_lease_minutes', { value: 20 });
    const instance = await run(daemon, 10);
    const before = await rowOf(daemon, instance.id);
    for (const minutes of [15, 60, 60])
      expect(
        (await ask(daemon, 'POST', `/instances/${instance.id}/extend`, { duration_minutes: minutes })).status,
      ).toBe(200);
    const after = await rowOf(daemon, instance.id);
    expect(after.expires_at.getTime() - before.lease_started_at.getTime()).toBe(20 * 60_000);
    await daemon.call('PUT', '/settings/mcp.max_lease_minutes', { value: 1_440 });
  }, 60_000);

  it.each([
    ['an hour ahead', hourMs],
    ['an hour back', -hourMs],
  ])(
    'whose clock jumps %s mid-life: leases end in time, sweeps and jobs go on',
    async (_word, offsetMs) => {
      const [staying, ending, swept] = await Promise.all([
        run(daemon, 30),
        run(daemon, 0.2),
        run(daemon, 30),
      ]);
      writeFileSync(clockFile, String(offsetMs));
      process.kill(daemon.pid(), 'SIGUSR2');
      try {
        await sleep(200);
        const { shim } = processesOf(await rowOf(daemon, ending.id));
        const { expires_at: end } = await rowOf(daemon, ending.id);
        await setEnd(daemon, swept.id, 0);
        await untilRow(daemon, swept.id, ({ status }) => status === 'expired', endedWithinMs);
        const early = end.getTime() - Date.now() > 500;
        expect(!early || identify(shim) !== undefined).toBe(true);
        await untilRow(daemon, ending.id, ({ status }) => status === 'expired', 12_000 + endedWithinMs);
        expect(await rowOf(daemon, staying.id)).toMatchObject({ status: 'running', generation: 1 });
        expect(await serves(staying)).toBe(true);
        const later = await run(daemon, 5);
        const { expires_at: laterEnd, lease_started_at: start } = await rowOf(daemon, later.id);
        expect(Math.abs(laterEnd.getTime() - start.getTime() - 5 * 60_000)).toBeLessThan(1_000);
        expect(Math.abs(start.getTime() - Date.now())).toBeLessThan(60_000);
      } finally {
        writeFileSync(clockFile, '0');
        process.kill(daemon.pid(), 'SIGUSR2');
      }
    },
    90_000,
  );

  it('leaves nothing behind in the end', () => untilPromisesHold(daemon));
});

describe('with a database whose clock jumps', () => {
  let daemon: Daemon;
  /** Every clock_timestamp() of ours is answered by a function of the test, found before PostgreSQL's own. */
  const jump = (seconds: number): Promise<unknown> =>
    daemon.database.db.query('UPDATE jumping.clock SET seconds = $1', [seconds]);

  beforeAll(async () => {
    daemon = await open(false);
    const { db, connection } = daemon.database;
    await db.query('CREATE SCHEMA jumping');
    await db.query('CREATE TABLE jumping.clock AS SELECT 0::float8 AS seconds');
    await db.query(`CREATE FUNCTION jumping.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
      'SELECT pg_catalog.clock_timestamp() + (SELECT seconds FROM jumping.clock) * interval ''1 second'''`);
    await db.query('GRANT USAGE ON SCHEMA jumping TO PUBLIC');
    await db.query('GRANT SELECT ON jumping.clock TO PUBLIC');
    await db.query(`ALTER DATABASE ${connection.database} SET search_path = jumping, public, pg_catalog`);
    await daemon.terminate();
    await daemon.start();
  }, 60_000);
  afterAll(async () => {
    await jump(0);
    await daemon?.dispose();
  });

  it('an hour back: the shim ends in time by its own count, and the row follows', async () => {
    const instance = await run(daemon, 0.2);
    const { shim } = processesOf(await rowOf(daemon, instance.id));
    const startedMs = performance.now();
    await jump(-3_600);
    // What a supervisor does when it starts, and every half minute: it must not make the lease longer.
    await daemon.kill9();
    await daemon.start();
    await expect.poll(() => identify(shim), { timeout: 12_000 + endedWithinMs }).toBeUndefined();
    expect(performance.now() - startedMs).toBeLessThan(12_000 + endedWithinMs);
    await untilRow(daemon, instance.id, ({ status }) => status === 'expired');
    await jump(0);
  }, 60_000);

  it('an hour ahead: the database has decided, every lease it ended is ended, and new ones are whole', async () => {
    const instance = await run(daemon, 30);
    await jump(3_600);
    await untilRow(daemon, instance.id, ({ status }) => status === 'expired', endedWithinMs);
    const later = await run(daemon, 30);
    expect(await serves(later)).toBe(true);
    await sleep(6_000);
    expect(await rowOf(daemon, later.id)).toMatchObject({ status: 'running' });
    await jump(0);
  }, 60_000);
});

describe('without a supervisor', () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await open(true);
  }, 60_000);
  afterAll(() => daemon?.dispose());

  it('the shim keeps the deadline, and an extension that was written and never told is told at the next start', async () => {
    const { proxy } = daemon;
    if (proxy === undefined) throw new Error('it was asked for a proxy');
    const [ending, extended] = await Promise.all([run(daemon, 0.2), run(daemon, 0.2)]);
    const before = await rowOf(daemon, ending.id);
    const { shim, children } = processesOf(before);
    const held = holdStatements(proxy).follow(extended.id);
    const written = held.holdAt({
      step: {
        sql: 'COMMIT of WITH written AS ( INSERT INTO mcp_events (id, mcp_instance_id, user_id, actor_id (1)',
        turn: 1,
        isIdle: false,
      },
      when: 'after',
    });
    void ask(daemon, 'POST', `/instances/${extended.id}/extend`, { duration_minutes: 30 }).catch(() => {});
    await written;
    await daemon.kill9();
    proxy.beforeStatement = undefined;
    proxy.afterStatement = undefined;
    expect((await rowOf(daemon, extended.id)).expires_at.getTime() - Date.now()).toBeGreaterThan(25 * 60_000);

    await daemon.start();
    await daemon.kill9();
    await expect
      .poll(() => [shim, ...children].filter((pid) => identify(pid) !== undefined), {
        timeout: 12_000 + endedWithinMs,
      })
      .toEqual([]);
    expect(Date.now() - before.expires_at.getTime()).toBeLessThan(endedWithinMs);
    expect(await refusesConnections(ending.access_url)).toBe(true);
    await sleep(3_000);
    expect(await serves(extended)).toBe(true);

    await daemon.start();
    await untilRow(daemon, ending.id, ({ status }) => status === 'expired');
    expect(await rowOf(daemon, extended.id)).toMatchObject({ status: 'running', generation: 1 });
    await ask(daemon, 'DELETE', `/instances/${extended.id}`);
    await untilPromisesHold(daemon);
  }, 90_000);
});
