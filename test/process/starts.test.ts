// Starts that hold nobody back: servers that hang or burn the processor before they were ever ready do not keep those of
// other people waiting, and what waits for its turn is seen to wait.
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { InstanceView, InstanceWithToken } from '../../src/api/contract.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { request, rowOf, untilRow } from '../support/gated.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const cores = availableParallelism();
/** Instances a user may have, as settings are from the start. */
const quota = 10;
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 20 });
  await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy', start_timeout_seconds: 120 });
  await addProgramType(daemon, 'hangs', 'process.stdin.resume();', { start_timeout_seconds: 120 });
  await addProgramType(daemon, 'burns', 'for (;;);', { start_timeout_seconds: 120 });
});
afterAll(() => daemon.dispose());

const remove = (instances: readonly InstanceWithToken[]): Promise<unknown> =>
  Promise.all(instances.map(({ id }) => daemon.call('DELETE', `/instances/${id}`)));

async function metric(state: string): Promise<number> {
  const { body } = await daemon.call<string>('GET', '/metrics');
  return Number(new RegExp(`^minimcp_starts\\{state="${state}"\\} (\\d+)$`, 'm').exec(body.data)?.[1]);
}

it('servers that hang while starting do not hold back another user’s', async () => {
  const [hanging, other] = await Promise.all([daemon.user('hanging'), daemon.user('other')]);
  const hung = await Promise.all(
    Array.from({ length: Math.min(4 * cores, quota) }, () =>
      request(daemon, { mcp_type: 'hangs' }, hanging.token),
    ),
  );
  const mine = await request(daemon, { mcp_type: 'tiny' }, other.token);
  expect(await untilRow(daemon, mine.id, ({ status }) => status !== 'pending')).toMatchObject({
    status: 'running',
  });
  // Nor do they hold back each other: every one gets to its server, and none is ready or has failed.
  for (const { id } of hung) await untilRow(daemon, id, ({ handle }) => handle !== null);
  for (const { id } of hung)
    expect(await rowOf(daemon, id)).toMatchObject({ status: 'pending', health: 'starting' });
  await expect.poll(() => metric('running')).toBe(0);
  await remove([mine, ...hung]);
}, 90_000);

it('nor do those that burn the processor for ever', async () => {
  const [burning, other] = await Promise.all([daemon.user('burning'), daemon.user('patient')]);
  const burnt = await Promise.all(
    Array.from({ length: Math.min(cores, quota) }, () =>
      request(daemon, { mcp_type: 'burns' }, burning.token),
    ),
  );
  for (const { id } of burnt) await untilRow(daemon, id, ({ handle }) => handle !== null);
  const mine = await request(daemon, { mcp_type: 'tiny' }, other.token);
  expect(await untilRow(daemon, mine.id, ({ status }) => status !== 'pending')).toMatchObject({
    status: 'running',
  });
  for (const { id } of burnt) expect((await rowOf(daemon, id)).status).toBe('pending');
  await remove([mine, ...burnt]);
}, 90_000);

// With more cores nobody waits for so few.
it.skipIf(cores >= quota - 2)(
  'what waits for its turn says which place it has',
  async () => {
    const [many, few] = await Promise.all([daemon.user('many'), daemon.user('few')]);
    const first = await Promise.all(
      Array.from({ length: quota }, () => request(daemon, { mcp_type: 'tiny' }, many.token)),
    );
    const last = await request(daemon, { mcp_type: 'tiny' }, few.token);
    const { body } = await daemon.call<InstanceView[]>('GET', '/instances?limit=100');
    const places = body.data.flatMap(({ queue_position: place }) => (place === null ? [] : [place]));
    expect(places.length).toBeGreaterThan(1);
    expect(places.toSorted((one, other) => one - other)).toEqual(places.map((_, at) => at + 1));
    const place = body.data.find(({ id }) => id === last.id)?.queue_position ?? 0;
    expect(place).toBeLessThanOrEqual(2);
    expect(await metric('waiting')).toBeGreaterThan(0);
    for (const { id } of [...first, last]) await untilRow(daemon, id, ({ status }) => status === 'running');
    expect((await daemon.get(last.id)).queue_position).toBeNull();
    expect(await metric('waiting')).toBe(0);
    await remove([...first, last]);
  },
  90_000,
);
