// The one door to a status, under contention: quotas, ports, and events that race each other for one instance.
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.ts';
import type { LifecycleEvent } from '../../src/domain/lifecycle.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type House, openHouse } from '../support/house.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.dispose());

const codeOf = (result: PromiseSettledResult<unknown>): string =>
  result.status === 'fulfilled'
    ? 'ok'
    : result.reason instanceof Fault
      ? result.reason.code
      : String(result.reason);

/** How many results there were of each kind. */
function tally(results: readonly PromiseSettledResult<unknown>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const code of results.map(codeOf)) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

const heldPorts = async (house: House): Promise<number> =>
  (
    await database.db.query<{ n: number }>(
      'SELECT count(*) AS n FROM port_allocations WHERE node_id = $1 AND mcp_instance_id IS NOT NULL',
      [house.nodeId],
    )
  )[0]?.n ?? -1;

describe('asking', () => {
  it('fifty at once through two processes against a quota of ten: exactly ten', async () => {
    const house = await openHouse(database.db, { ports: 60, quota: 10 });
    const beside = await openHouse(database.db, { ports: 60, quota: 10, beside: house });
    const actor = await house.actor();
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? house : beside).request(actor)),
    );
    expect(tally(results)).toEqual({ ok: 10, quota_exceeded: 40 });
    expect(await heldPorts(house)).toBe(10);
  });

  it('120 against 100 ports: exactly 100, and 20 clear refusals', async () => {
    const house = await openHouse(database.db, { ports: 100 });
    const actor = await house.actor();
    const results = await Promise.allSettled(Array.from({ length: 120 }, () => house.request(actor)));
    expect(tally(results)).toEqual({ ok: 100, no_port_free: 20 });
    const ports = results.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value.instance.assigned_port] : [],
    );
    expect(new Set(ports).size).toBe(100);
  });

  it('passes over a port that something else listens on, and says so in the pool', async () => {
    const house = await openHouse(database.db, { ports: 2 });
    const squatter = createServer().listen(house.range.from, '127.0.0.1');
    const { instance } = await house.request(await house.actor());
    expect(instance.assigned_port).toBe(house.range.from + 1);
    const [port] = await database.db.query(
      'SELECT quarantine_reason FROM port_allocations WHERE node_id = $1 AND port = $2',
      [house.nodeId, house.range.from],
    );
    expect(port).toMatchObject({ quarantine_reason: expect.stringContaining('something else listens') });

    // Its time is over, and the port still taken: it is found so again. Once it is free it is given out.
    const overdue = (): Promise<unknown> =>
      database.db.query(
        `UPDATE port_allocations SET quarantined_until = clock_timestamp()
         WHERE node_id = $1 AND quarantined_until IS NOT NULL`,
        [house.nodeId],
      );
    await overdue();
    await expect(house.request(await house.actor())).rejects.toMatchObject({ code: 'no_port_free' });
    squatter.close();
    await overdue();
    expect((await house.request(await house.actor())).instance.assigned_port).toBe(house.range.from);
  });

  it('a name that is taken, leaving no port behind', async () => {
    const house = await openHouse(database.db);
    const actor = await house.actor();
    await house.request(actor, { name: 'mine' });
    await expect(house.request(actor, { name: 'mine' })).rejects.toMatchObject({ code: 'name_taken' });
    expect(await heldPorts(house)).toBe(1);
    await expect(house.request(await house.actor(), { name: 'mine' })).resolves.toBeDefined();
  });

  it('under a fence that was overtaken writes nothing', async () => {
    const house = await openHouse(database.db);
    const actor = await house.actor();
    await database.db.query('UPDATE nodes SET epoch = 2 WHERE id = $1', [house.nodeId]);
    await expect(house.request(actor)).rejects.toMatchObject({ code: 'node_fenced' });
    expect(await heldPorts(house)).toBe(0);
  });
});

describe('events', () => {
  const running = async (house: House) => {
    const actor = await house.actor();
    const { instance } = await house.request(actor);
    const { row } = await house.apply(instance.id, { event: 'ready', generation: 1, processId: 42 });
    return { actor, row };
  };

  it('go from request to receipt, holding the port until the processes are proved gone', async () => {
    const house = await openHouse(database.db);
    const { actor, row } = await running(house);
    expect(row).toMatchObject({ status: 'running', health: 'healthy', process_id: 42 });
    const stopping = await house.apply(row.id, { event: 'stop', actor });
    expect(stopping).toMatchObject({
      row: { status: 'stopping', stop_reason: 'user' },
      effects: ['terminate'],
    });
    expect(await heldPorts(house)).toBe(1);
    const ended = await house.apply(row.id, { event: 'exited', generation: 1, exitCode: 0 });
    expect(ended.row).toMatchObject({
      status: 'disconnected',
      assigned_port: null,
      process_id: null,
      exit_code: 0,
    });
    expect(await heldPorts(house)).toBe(0);
    const events = await database.db.query<{ event_type: string }>(
      'SELECT event_type FROM mcp_events WHERE mcp_instance_id = $1 ORDER BY id',
      [row.id],
    );
    expect(events.map((event) => event.event_type)).toEqual(['created', 'ready', 'stopping', 'stopped']);
  });

  it('of an older generation are dropped', async () => {
    const house = await openHouse(database.db);
    const { actor, row } = await running(house);
    await house.apply(row.id, { event: 'restart', actor });
    const again = await house.apply(row.id, { event: 'exited', generation: 1 });
    expect(again).toMatchObject({
      row: { status: 'pending', generation: 2, restarts: 0 },
      effects: ['launch'],
    });
    const stale = await house.apply(row.id, { event: 'exited', generation: 1, reason: 'crashed' });
    expect(stale).toMatchObject({ changed: false, row: { status: 'pending', generation: 2 } });
  });

  it('that come too early end nothing', async () => {
    const house = await openHouse(database.db);
    const { row } = await running(house);
    expect(await house.apply(row.id, { event: 'expire' })).toMatchObject({
      changed: false,
      row: { status: 'running' },
    });
  });

  it('of another user find nothing', async () => {
    const house = await openHouse(database.db);
    const { row } = await running(house);
    await expect(house.apply(row.id, { event: 'stop', actor: await house.actor() })).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(
      house.apply(row.id, { event: 'stop', actor: await house.actor('admin') }),
    ).resolves.toMatchObject({ changed: true });
  });

  it('renew a lease on the same port if it is free, else on another, within the quota', async () => {
    const house = await openHouse(database.db, { quota: 1 });
    const { actor, row } = await running(house);
    await database.db.query(`UPDATE mcp_instances SET expires_at = clock_timestamp() WHERE id = $1`, [
      row.id,
    ]);
    await house.apply(row.id, { event: 'expire' });
    await house.apply(row.id, { event: 'exited', generation: 1 });
    const newEnd = ({ now }: { now: Date }) => new Date(now.getTime() + 60_000);
    const renewed = await house.apply(row.id, { event: 'renew', actor, newEnd });
    expect(renewed).toMatchObject({
      row: { status: 'pending', generation: 2, assigned_port: row.assigned_port, access_url: row.access_url },
      effects: ['launch'],
    });
    await expect(house.request(actor)).rejects.toMatchObject({ code: 'quota_exceeded' });
  });

  const pairs: readonly (readonly [LifecycleEvent, LifecycleEvent, readonly string[]])[] = [
    ['extend', 'expire', ['running', 'stopping']],
    ['stop', 'ready', ['stopping']],
    ['delete', 'extend', ['stopping']],
  ];
  it.each(pairs)('%s racing %s has one outcome, 200 times out of 200', async (first, second, outcomes) => {
    const house = await openHouse(database.db, { ports: 100 });
    const actor = await house.actor();
    const newEnd = ({ now }: { now: Date }) => new Date(now.getTime() + 60_000);
    for (let round = 0; round < 4; round += 1) {
      const ids = await Promise.all(
        Array.from({ length: 50 }, async () => {
          const { instance } = await house.request(actor);
          if (second !== 'ready') await house.apply(instance.id, { event: 'ready', generation: 1 });
          if (second === 'expire')
            await database.db.query(
              "UPDATE mcp_instances SET expires_at = clock_timestamp() + $2 * interval '1 ms' WHERE id = $1",
              [instance.id, Math.random() * 20],
            );
          return instance.id;
        }),
      );
      const occurrence = (event: LifecycleEvent) =>
        event === 'ready'
          ? { event, generation: 1 }
          : event === 'expire'
            ? { event }
            : { event, actor, newEnd };
      await Promise.allSettled(
        ids.flatMap((id) => [house.apply(id, occurrence(first)), house.apply(id, occurrence(second))]),
      );
      const rows = await database.db.query<{ status: string; over: boolean; held: boolean }>(
        `SELECT status, expires_at <= clock_timestamp() AS over,
           EXISTS (SELECT 1 FROM port_allocations p WHERE p.mcp_instance_id = i.id AND p.port = i.assigned_port) AS held
         FROM mcp_instances i WHERE id = ANY($1)`,
        [ids],
      );
      for (const row of rows) {
        expect(outcomes).toContain(row.status);
        expect(row.held).toBe(true);
      }
      for (const id of ids) {
        await house.apply(id, { event: 'stop' });
        await house.apply(id, { event: 'exited', generation: 1 });
      }
    }
    expect(await heldPorts(house)).toBe(0);
  });
});
