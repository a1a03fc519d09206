// What instances used over time: written by the statement of the health sweep, once a minute and for what runs only; read
// downsampled, by whoever may see the instance; thinned as it grows old.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writeDigests } from '../../src/db/queries/instances.ts';
import { thinUsage } from '../../src/db/queries/usage.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
let type: string;
let person: { id: string; token: string };
let id: string;
beforeAll(async () => {
  house = await openApi({ ports: 40 });
  type = `type-${await addType(house.database.db)}`;
});
afterAll(() => house[Symbol.asyncDispose]());
beforeEach(async () => {
  person = await house.user();
  id = await create(person.token);
  await house.ready(id);
});

const create = async (token: string): Promise<string> =>
  (await house.send('POST', '/api/v1/instances', { token, body: { mcp_type: type } })).json.data.id;

const digest = (of: string, generation = 1, stats: Record<string, unknown> = {}) => ({
  ...{ id: of, generation, health: 'healthy', problem: null, idle_ms: null },
  stats: { cpu_percent: 12.5, memory_bytes: 1_000_000.4, requests: 7, in_flight: 1, sessions: 2, ...stats },
});
const samplesOf = (of: string) =>
  house.database.db.query('SELECT * FROM instance_usage WHERE instance_id = $1 ORDER BY at', [of]);

/** Samples a minute apart, the newest `ago` minutes ago; the n-th oldest has n % CPU. */
const addSamples = (of: string, count: number, ago = 1) =>
  house.database.db.query(
    `INSERT INTO instance_usage (instance_id, at, generation, cpu_percent, memory_bytes, requests)
     SELECT $1, date_trunc('minute', now()) - ($2::int - n + $3::int) * interval '1 minute', 1, n, n * 1000, n
     FROM generate_series(1, $2::int) AS n`,
    [of, count, ago],
  );

const read = (path: string, token = person.token) => house.send('GET', `/api/v1${path}`, { token });

describe('a sweep', () => {
  it('leaves one sample a minute, of the generation that runs', async () => {
    const asleep = await create(person.token);
    const { db } = house.database;
    const found = [digest(id), digest(asleep), digest(id, 99)];
    await writeDigests(db, found.slice(0, 2));
    await writeDigests(db, [digest(id, 1, { cpu_percent: 99 })]);
    await writeDigests(db, found.slice(2));
    const rows = await samplesOf(id);
    // The minute may have turned between the two.
    expect(rows.length).toBeLessThanOrEqual(2);
    expect(rows[0]).toMatchObject({
      ...{
        generation: 1,
        cpu_percent: 12.5,
        memory_bytes: 1_000_000,
        requests: 7,
        in_flight: 1,
        sessions: 2,
      },
    });
    expect((rows[0] as { at: Date }).at.getTime() % 60_000).toBe(0);
    expect(await samplesOf(asleep)).toEqual([]);
    const stats = await read(`/instances/${id}/stats`);
    expect(stats.json.data.cpu_percent).toBe(99);
  });

  it('that learned nothing leaves none', async () => {
    await writeDigests(house.database.db, [{ ...digest(id), stats: { checked_at: 'now' } }]);
    expect(await samplesOf(id)).toEqual([]);
  });
});

describe('GET /instances/{id}/usage', () => {
  it('is a day of means, no more points than asked for', async () => {
    await addSamples(id, 600);
    const all = await read(`/instances/${id}/usage?points=2000`);
    expect(all.json.data.map((one: { cpu_percent: number }) => one.cpu_percent)).toEqual(
      Array.from({ length: 600 }, (_, n) => n + 1),
    );
    expect(all.json.meta.next_cursor).toBeNull();
    const few = await read(`/instances/${id}/usage?points=12`);
    const points: { at: string; cpu_percent: number; requests: number }[] = few.json.data;
    expect(points.length).toBeGreaterThan(3);
    expect(points.length).toBeLessThanOrEqual(12);
    const cpu = points.map((point) => point.cpu_percent);
    expect(cpu).toEqual([...cpu].sort((a, b) => a - b));
    // Means of 120 samples each, where the span is whole.
    expect((cpu[2] ?? 0) - (cpu[1] ?? 0)).toBeCloseTo(120, 5);
    expect(points.at(-1)?.requests).toBe(600);
    expect((await read(`/instances/${id}/usage`)).json.data.length).toBeLessThanOrEqual(300);
  });

  it('keeps to its span, and refuses one that ends before it begins', async () => {
    await addSamples(id, 100);
    const [from, to] = [new Date(Date.now() - 50 * 60_000), new Date(Date.now() - 40 * 60_000)];
    const span = await read(
      `/instances/${id}/usage?since=${from.toISOString()}&until=${to.toISOString()}&points=2000`,
    );
    expect(span.json.data).toHaveLength(10);
    const wrong = await read(`/instances/${id}/usage?since=${to.toISOString()}&until=${from.toISOString()}`);
    expect(wrong.json.code).toBe('invalid_field');
    expect((await read(`/instances/${id}/usage?points=0`)).status).toBe(400);
  });

  it("is closed to others, and open to admins; the course of others' is not told", async () => {
    await addSamples(id, 40);
    const stranger = await house.user();
    expect((await read(`/instances/${id}/usage`, stranger.token)).status).toBe(404);
    expect((await read('/usage', stranger.token)).json.data).toEqual([]);
    expect((await read(`/instances/${id}/usage?points=2000`, house.adminToken)).json.data.length).toBe(40);
    const seen = await house.database.db.as({ userId: stranger.id, role: 'user' }, (tx) =>
      tx.query('SELECT 1 FROM instance_usage'),
    );
    expect(seen).toEqual([]);
  });
});

describe('GET /usage', () => {
  it('is the last 30 samples of what is at work, as columns', async () => {
    const fresh = await create(person.token);
    const ended = await create(person.token);
    await addSamples(id, 45);
    await addSamples(ended, 5);
    await house.send('POST', `/api/v1/instances/${ended}/stop`, { token: person.token });
    await house.apply(ended, { event: 'exited' });
    const answer = await read('/usage');
    expect(answer.json.data.map((one: { instance_id: string }) => one.instance_id).sort()).toEqual(
      [id, fresh].sort(),
    );
    const [course] = answer.json.data.filter((one: { instance_id: string }) => one.instance_id === id);
    expect(course.cpu_percent).toEqual(Array.from({ length: 30 }, (_, n) => n + 16));
    expect(course.memory_bytes[29]).toBe(45_000);
    expect(course.at).toHaveLength(30);
    expect(course.at[0] < course.at[29]).toBe(true);
    const [empty] = answer.json.data.filter((one: { instance_id: string }) => one.instance_id === fresh);
    expect(empty).toEqual({ instance_id: fresh, at: [], cpu_percent: [], memory_bytes: [] });
  });
});

describe('old samples', () => {
  it('are thinned after two days and gone after the retention', async () => {
    const { db } = house.database;
    await addSamples(id, 100);
    const young = (await samplesOf(id)).length;
    await addSamples(id, 100, 3 * 1_440);
    await addSamples(id, 100, 31 * 1_440);
    await thinUsage(db, 30);
    expect(await samplesOf(id)).toHaveLength(young + 10);
  });

  it('go with their instance', async () => {
    await addSamples(id, 10);
    await house.database.db.query('DELETE FROM mcp_instances WHERE id = $1', [id]);
    expect(await samplesOf(id)).toEqual([]);
  });
});
