// The soak: instances come and go while one random fault follows another, and after each everything promised must hold
// again within half a minute. It goes on after a broken promise, tells it in its table, and fails at its end.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import type { Instance } from '../../src/domain/instance.ts';
import { startDaemon } from '../support/daemon.ts';
import { ask, request } from '../support/gated.ts';
import { ownDatabase } from '../support/own-database.ts';
import { untilPromisesHold } from '../support/promises.ts';
import { addProgramType, answersThen } from '../support/types.ts';
import { faults, type Scene } from './faults.ts';

const minutes = Number(process.env.MINIMCP_SOAK_MINUTES ?? 60);
const seed = Number(process.env.MINIMCP_SOAK_SEED ?? 1);
const settledMs = 30_000;
const instancesMax = 8;

/** mulberry32: small, and the same everywhere. */
function dice(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

interface Line {
  times: number;
  broken: number;
  worstMs: number;
}

it(`random faults for ${minutes} minutes, seed ${seed}`, { timeout: (minutes + 15) * 60_000 }, async () => {
  const draw = dice(seed);
  const database = await ownDatabase();
  const daemon = await startDaemon({ database, proxied: true, ports: 20 });
  const { proxy } = daemon;
  // Also when it fails: what a soak leaves running would go on for days.
  onTestFinished(async () => {
    await daemon.dispose();
    await database.dispose();
  }, 120_000);
  if (proxy === undefined) throw new Error('it was asked for a proxy');
  await addProgramType(daemon, 'tiny', answersThen(''), {
    era: 'legacy',
    start_timeout_seconds: 60,
    restart_policy: { tries: 1_000, backoff_seconds: 0.1, backoff_seconds_max: 0.5 },
  });
  const rows = (): Promise<Instance[]> =>
    database.db.query<Instance>('SELECT * FROM mcp_instances WHERE deleted_at IS NULL ORDER BY id');
  const scene: Scene = {
    daemon,
    proxy,
    database,
    draw,
    victim: async () => {
      const working = (await rows()).filter(({ handle }) => handle !== null);
      return working[draw(working.length)];
    },
  };

  /** What people do meanwhile; refusals are answers too, and a supervisor or a database that is away is no surprise. */
  const meddle = async (): Promise<void> => {
    const there = await rows().catch(() => []);
    const one = there[draw(there.length)];
    const path = `/instances/${one?.id}`;
    const deeds: (() => Promise<unknown>)[] = [
      () => request(daemon, { mcp_type: 'tiny', duration_minutes: 60 }),
      () => request(daemon, { mcp_type: 'tiny', duration_minutes: 0.1 }),
      () => ask(daemon, 'POST', `${path}/stop`),
      () => ask(daemon, 'POST', `${path}/restart`),
      () => ask(daemon, 'POST', `${path}/restore`),
      () => ask(daemon, 'POST', `${path}/extend`, { duration_minutes: 60 }),
      () => ask(daemon, 'DELETE', path),
    ];
    const deed = there.length >= instancesMax ? deeds.at(-1) : deeds[draw(deeds.length)];
    await deed?.().catch(() => {});
  };

  const table = new Map<string, Line>(
    Object.keys(faults).map((name) => [name, { times: 0, broken: 0, worstMs: 0 }]),
  );
  const broken: string[] = [];
  const endMs = performance.now() + minutes * 60_000;
  while (performance.now() < endMs) {
    const [name, fault] = Object.entries(faults)[draw(table.size)] ?? [];
    const line = table.get(name ?? '');
    if (name === undefined || fault === undefined || line === undefined) continue;
    const deeds = Array.from({ length: 1 + draw(3) }, meddle);
    if (draw(2) === 0) await sleep(draw(400));
    await fault(scene);
    await Promise.all(deeds);
    const startedMs = performance.now();
    try {
      await untilPromisesHold(daemon, settledMs);
      await untilSettled(rows, settledMs);
    } catch (error) {
      line.broken += 1;
      broken.push(`after "${name}": ${(error as Error).message}`);
      process.stdout.write(`${broken.at(-1)}\n${daemon.output.slice(-10).join('\n')}\n`);
    }
    line.times += 1;
    line.worstMs = Math.max(line.worstMs, performance.now() - startedMs);
  }
  process.stdout.write(printed(table));
  expect(broken).toEqual([]);
});

/** Nothing stays on its way for ever. */
async function untilSettled(rows: () => Promise<Instance[]>, ms: number): Promise<void> {
  for (const startedMs = performance.now(); ; await sleep(50)) {
    const onTheirWay = (await rows()).filter(({ status }) => status === 'pending' || status === 'stopping');
    if (onTheirWay.length === 0) return;
    if (performance.now() - startedMs > ms)
      throw new Error(
        `still on their way after ${ms} ms: ${onTheirWay.map(({ id, status }) => `${id} ${status}`).join(', ')}`,
      );
  }
}

function printed(table: ReadonlyMap<string, Line>): string {
  const width = Math.max(...[...table.keys()].map(({ length }) => length));
  const lines = [...table].map(([name, { times, broken, worstMs }]) =>
    [
      name.padEnd(width),
      String(times).padStart(6),
      String(broken).padStart(7),
      `${(worstMs / 1_000).toFixed(1)} s`.padStart(11),
    ].join('  '),
  );
  const head = `${'fault'.padEnd(width)}   times   broken  worst until all holds again`;
  return `\n${head}\n${lines.join('\n')}\n\n`;
}
