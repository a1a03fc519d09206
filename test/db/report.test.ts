// GET /health: what it says to whom, and that a database that hangs is told of and not waited for.
import { expect, it } from 'vitest';
import { monotonicMs } from '../../src/base/clock.ts';
import { openApi } from '../support/api.ts';

it('says how the installation is, to admins in detail', async () => {
  await using house = await openApi();
  const { token } = await house.user();
  const report = async (as: string) => (await house.send('GET', '/api/v1/health', { token: as })).json.data;
  const plain = await report(token);
  expect(plain).toMatchObject({ ready: true, version: '0.0.0', database: { ok: true }, details: null });
  expect(plain.database.latency_ms).toBeGreaterThan(0);
  const { details } = await report(house.adminToken);
  expect(details).toMatchObject({
    // pg-boss has made no tables in this database.
    queue: { depth: 0, active: 0, oldest_s: 0 },
    logs: { spools: 0, lag_ms: 0, problem: null },
    keys: { ok: true, problem: null },
    isolation: { level: 'L2', missing: [{ level: 'L3', reason: 'no' }] },
    admission: { running: 0, waiting: 0 },
    nodes: [{ id: house.nodeId, state: 'active' }],
  });
  expect(details.event_loop.p99_ms).toBeGreaterThanOrEqual(details.event_loop.mean_ms);
  expect(details.database_connections.total).toBeGreaterThan(0);
});

it('does not wait for a database that hangs', async () => {
  await using house = await openApi();
  const timed = async () => {
    const beganMs = monotonicMs();
    const answer = await house.send('GET', '/api/v1/health');
    expect(monotonicMs() - beganMs).toBeLessThan(2_000);
    return answer;
  };
  /** The table is locked against everybody: whoever asks for it hangs. */
  const holding = async (table: string, meanwhile: () => Promise<void>) =>
    house.database.db.tx(async (tx) => {
      await tx.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      await meanwhile();
    });
  await holding('nodes', async () => {
    const { json } = await timed();
    expect(json.data).toMatchObject({ ready: true, details: { nodes: null, queue: { depth: 0 } } });
    // Those who ask meanwhile wait for the same read, and not each for one of their own.
    await Promise.all(Array.from({ length: 5 }, timed));
    const waiting = await house.database.db.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'capacity, holder FROM nodes'`,
    );
    expect(waiting).toHaveLength(1);
  });
  await holding('api_tokens', async () => {
    const answer = await timed();
    expect([answer.status, answer.json.code]).toEqual([503, 'database_unavailable']);
    expect(answer.headers.get('retry-after')).toBe('5');
  });
  expect((await timed()).status).toBe(200);
});
