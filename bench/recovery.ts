// npm run bench:recovery: a supervisor killed -9 under its instances' traffic and started again: how long until it has
// adopted all of them, and which calls failed meanwhile; and a server killed -9 under its shim: how long until it is
// initialized again, beside the raw spawn of the same server.
// Options: --short, --instances N, --kills N (of the supervisor), --rounds N (of servers)
import { parseArgs } from 'node:util';
import { monotonicMs, sleep } from '../src/base/clock.ts';
import { serverScript, serverVersion } from './support/bridges.ts';
import { startLoad } from './support/load-driver.ts';
import { openSession, type Target } from './support/mcp-session.ts';
import { commandOf, descendants } from './support/processes.ts';
import { rawSpawn } from './support/raw-spawn.ts';
import { figure, printHeading, printTable, printTargets, progress, sampleText } from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import { ratioOf, sampleOf } from './support/statistics.ts';
import { type Instance, startSupervisor } from './support/supervisor.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    instances: { type: 'string' },
    kills: { type: 'string' },
    rounds: { type: 'string' },
  },
});
const count = Number(flags.instances ?? (flags.short ? 10 : 100));
const kills = Number(flags.kills ?? (flags.short ? 1 : 5));
const rounds = Math.min(count, Number(flags.rounds ?? (flags.short ? 3 : 15)));
/** Each client calls twice a second. */
const everyMs = 500;

await using scratch = await openScratch();
progress('starting a supervisor');
await using supervisor = await startSupervisor(scratch.path, count);
progress(`starting ${count} instances`);
const instances = await supervisor.createMany('everything', count);
const shims = instances.map((instance) => supervisor.shimOf(instance));

using load = startLoad();
await load.run({ do: 'watch', targets: instances.map(targetOf), everyMs });
const readyMs: number[] = [];
const bootMs: number[] = [];
for (let kill = 0; kill < kills; kill += 1) {
  progress(`supervisor: kill ${kill + 1} of ${kills}`);
  await sleep(2 * everyMs);
  await supervisor.kill9();
  await sleep(2 * everyMs);
  readyMs.push(await supervisor.start());
  await untilAllRunning();
}
await sleep(2 * everyMs);
const watched = await load.run({ do: 'watched' });
const replaced = instances.filter((instance, at) => supervisor.shimOf(instance) !== shims[at]).length;

// What a supervisor takes with nothing to adopt is not recovery.
for (let round = 0; round < kills; round += 1) {
  progress(`an empty supervisor: ${round + 1} of ${kills}`);
  bootMs.push(await emptyBoot());
}

const againMs: number[] = [];
const rawMs: number[] = [];
const env = { PATH: process.env.PATH ?? '', HOME: scratch.path, LANG: 'C.UTF-8' };
for (const instance of instances.slice(0, rounds)) {
  progress(`servers: kill ${againMs.length + 1} of ${rounds}`);
  rawMs.push(await rawSpawn({ script: serverScript, env }));
  againMs.push(await killServer(instance));
}

const command = ['npm run bench:recovery', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
printHeading(command, { 'server-everything': serverVersion });
printTable(
  [`${count} instances, a client of each calling every ${everyMs} ms`, ''],
  [
    ['supervisor killed −9, spawn to ready with all adopted, ms', sampleText(sampleOf(readyMs))],
    ['the same with nothing to adopt, ms', sampleText(sampleOf(bootMs))],
    ['calls meanwhile', String(watched.calls)],
    ['calls that failed', String(watched.failed)],
    ['longest call, ms', figure(watched.longestMs)],
    ['shims replaced', String(replaced)],
    ['server killed −9, until initialized again, ms', sampleText(sampleOf(againMs))],
    ['raw spawn of the server until initialized, ms', sampleText(sampleOf(rawMs))],
  ],
);
printTargets([
  {
    what: 'killed −9 to all adopted',
    measured: sampleOf(readyMs).median / 1_000,
    relation: '<',
    target: 2,
    unit: 's',
  },
  { what: 'failed calls', measured: watched.failed, relation: '≤', target: 0, unit: '' },
  {
    what: 'server killed −9 to running again, to raw spawn',
    measured: ratioOf(againMs, rawMs),
    relation: '≤',
    target: 1.3,
  },
]);

function targetOf({ assigned_port: port, access_token: token }: Instance): Target {
  const headers = { Authorization: `Bearer ${token}` };
  return { host: '127.0.0.1', port: port ?? 0, path: '/mcp', transport: 'http', tool: 'echo', headers };
}

/** Every instance is running by the API, as it was before. */
async function untilAllRunning(): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const { data } = await supervisor.call<Instance[]>('GET', '/instances?status=running&limit=200');
    if (data.length === count) return;
    await sleep(50);
  }
  throw new Error('not all instances are running again');
}

async function emptyBoot(): Promise<number> {
  await using place = await openScratch();
  await using other = await startSupervisor(place.path, 1, count * 2 + 10);
  await other.kill9();
  // Awaited here: what is measured must be over before the supervisor is disposed of.
  return await other.start();
}

/** Kills the server itself, inside of whatever holds it. @returns milliseconds until a client is initialized again */
async function killServer(instance: Instance): Promise<number> {
  const server = descendants(supervisor.shimOf(instance)).filter((pid) => isServer(commandOf(pid)));
  const [pid] = server;
  if (pid === undefined || server.length > 1) {
    const { data } = await supervisor.call('GET', `/instances/${instance.id}`);
    const { data: events } = await supervisor.call('GET', `/instances/${instance.id}/events`);
    const { data: lines } = await supervisor.call('GET', `/instances/${instance.id}/logs?limit=10`);
    throw new Error(
      `an instance has ${server.length} servers: ${JSON.stringify({ data, events, lines })} ${descendants(supervisor.shimOf(instance)).map(commandOf).join(' | ')}`,
    );
  }
  const startMs = monotonicMs();
  process.kill(pid, 'SIGKILL');
  for (;;) {
    await sleep(2);
    if (descendants(supervisor.shimOf(instance)).includes(pid)) continue;
    try {
      const session = await openSession(targetOf(instance));
      const tookMs = monotonicMs() - startMs;
      await session.end();
      return tookMs;
    } catch (error) {
      if (monotonicMs() - startMs > 10_000) throw error;
    }
  }
}

function isServer(command: string): boolean {
  return (
    command.includes('dist/index.js') && !command.startsWith('bwrap') && !/^\S*(bwrap|prlimit) /.test(command)
  );
}
