// npm run bench:start: POST /instances until running, through a real supervisor, beside the raw spawn of the same server
// until it answers initialize, with and without Node's compile cache; one at a time, and twenty at once.
// Options: --short, --rounds N, --at-once N, --batches N (rounds of many at once)
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { monotonicMs } from '../src/base/clock.ts';
import { serverScript, serverVersion } from './support/bridges.ts';
import { type RawSpawn, rawSpawn, rawSpawns } from './support/raw-spawn.ts';
import { printHeading, printTable, printTargets, progress, sampleText } from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import { inRounds, ratioOf, sampleOf } from './support/statistics.ts';
import { startSupervisor } from './support/supervisor.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    'at-once': { type: 'string', default: '20' },
    batches: { type: 'string' },
  },
});
const rounds = Number(flags.rounds ?? (flags.short ? 3 : 15));
const atOnce = Number(flags['at-once']);
const batches = Number(flags.batches ?? (flags.short ? 1 : 5));

await using scratch = await openScratch();
progress('starting a supervisor');
await using supervisor = await startSupervisor(scratch.path, atOnce);
const env = { PATH: process.env.PATH ?? '', HOME: scratch.path, LANG: 'C.UTF-8' };
const plain: RawSpawn = { script: serverScript, env };
const cached: RawSpawn = {
  script: serverScript,
  env: { ...env, NODE_COMPILE_CACHE: join(scratch.path, 'cache') },
};

interface Way {
  readonly name: string;
  /** One start, milliseconds. */
  readonly one: () => Promise<number>;
  /** Many at once. */
  readonly many: () => Promise<{ firstMs: number; allMs: number }>;
  readonly oneMs: number[];
  readonly firstMs: number[];
  readonly allMs: number[];
}

const empty = () => ({ oneMs: [], firstMs: [], allMs: [] });
const raw: Way = {
  name: 'raw spawn',
  one: () => rawSpawn(plain),
  many: () => rawSpawns(plain, atOnce),
  ...empty(),
};
const rawCached: Way = {
  name: 'raw spawn, compile cache',
  one: () => rawSpawn(cached),
  many: () => rawSpawns(cached, atOnce),
  ...empty(),
};
const ours: Way = { name: 'POST /instances', one: createOne, many: createMany, ...empty() };
const ways = [raw, rawCached, ours];

// The first of each fills caches: the server's files, the compile cache, the package store.
for (const way of ways) await way.one();
await inRounds({
  subjects: ways,
  rounds,
  onRound: (round) => progress(`one at a time: round ${round + 1} of ${rounds}`),
  measure: async (way) => void way.oneMs.push(await way.one()),
});
await inRounds({
  subjects: ways,
  rounds: batches,
  onRound: (round) => progress(`${atOnce} at once: round ${round + 1} of ${batches}`),
  async measure(way) {
    const { firstMs, allMs } = await way.many();
    way.firstMs.push(firstMs);
    way.allMs.push(allMs);
  },
});

const command = ['npm run bench:start', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
printHeading(command, { 'server-everything': serverVersion });
printTable(
  [
    `ms, median of ${rounds} and ${batches} rounds`,
    'one',
    `${atOnce} at once: first`,
    `${atOnce} at once: all`,
  ],
  ways.map(({ name, oneMs, firstMs, allMs }) => [
    name,
    ...[oneMs, firstMs, allMs].map((values) => sampleText(sampleOf(values))),
  ]),
);
printTargets([
  {
    what: 'POST /instances to running, to raw spawn',
    measured: ratioOf(ours.oneMs, raw.oneMs),
    relation: '≤',
    target: 1.4,
  },
  {
    what: 'the same, to raw spawn with the compile cache',
    measured: ratioOf(ours.oneMs, rawCached.oneMs),
    relation: '≤',
    target: 1.4,
  },
  {
    what: `${atOnce} at once, to raw spawns with the compile cache`,
    measured: ratioOf(ours.allMs, rawCached.allMs),
    relation: '≤',
    target: 1.15,
  },
]);

/** From the request to its answer; the instance is gone before the next one is measured. */
async function createOne(): Promise<number> {
  const startMs = monotonicMs();
  const { id } = await supervisor.create('everything');
  const tookMs = monotonicMs() - startMs;
  await supervisor.remove(id);
  return tookMs;
}

async function createMany(): Promise<{ firstMs: number; allMs: number }> {
  const startMs = monotonicMs();
  const made = await Promise.all(
    Array.from({ length: atOnce }, async () => {
      const { id } = await supervisor.create('everything');
      return { id, tookMs: monotonicMs() - startMs };
    }),
  );
  const tookMs = made.map((one) => one.tookMs);
  await Promise.all(made.map(({ id }) => supervisor.remove(id)));
  return { firstMs: Math.min(...tookMs), allMs: Math.max(...tookMs) };
}
