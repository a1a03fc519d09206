// npm run bench:idle: how long the first request to a sleeping instance takes beside a cold start of the same, in turn;
// and what a thousand sleeping instances cost the supervisor and its PostgreSQL. One sleeper is put to sleep for real;
// the thousand are rows copied from it, on which the supervisor listens as on any other.
// Options: --short, --rounds N, --sleepers N, --seconds N
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { monotonicMs, sleep } from '../src/base/clock.ts';
import { serverVersion } from './support/bridges.ts';
import { type Cost, costOf, transactionsOf } from './support/cost.ts';
import { withClient } from './support/database.ts';
import { openSession } from './support/mcp-session.ts';
import { descendants } from './support/processes.ts';
import {
  figure,
  mib,
  printHeading,
  printTable,
  printTargets,
  progress,
  sampleText,
} from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import { ratioOf, sampleOf } from './support/statistics.ts';
import { type Instance, startSupervisor } from './support/supervisor.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    sleepers: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const rounds = Number(flags.rounds ?? (flags.short ? 3 : 10));
const sleepers = Number(flags.sleepers ?? (flags.short ? 50 : 1_000));
const seconds = Number(flags.seconds ?? (flags.short ? 15 : 60));
const type = 'everything';
/** Looks at who has slept long enough come every ten seconds. */
const asleepMsMax = 60_000;

await using scratch = await openScratch();
progress('starting a supervisor');
await using supervisor = await startSupervisor(scratch.path, sleepers + rounds);

const { wakeMs, coldMs } = await measureWaking();
const before = await measureCost();
await copySleepers();
const after = await measureCost();

const command = ['npm run bench:idle', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
printHeading(command, { 'server-everything': serverVersion });
printTable(
  [`ms, median of ${rounds} rounds in turn`, ''],
  [
    ['POST /instances to running, then initialize', sampleText(sampleOf(coldMs))],
    ['first request to a sleeping instance to its answer (initialize)', sampleText(sampleOf(wakeMs))],
  ],
);
printTable(
  [`over ${seconds} s`, 'of one core', 'PSS MiB', 'private MiB', 'descriptors', 'transactions a second'],
  [
    ...costRows('no sleeper', before),
    ...costRows(`${sleepers} sleepers`, after),
    [
      'processes of sleepers',
      '',
      '',
      '',
      String(descendants(supervisor.pid()).length - supervisor.databasePids().length),
      '',
    ],
  ],
);
printTargets([
  { what: 'wake from idle, to a cold start', measured: ratioOf(wakeMs, coldMs), relation: '≤', target: 1.5 },
  {
    what: 'descriptors of the supervisor a sleeper',
    measured: (after.descriptors - before.descriptors) / sleepers,
    relation: '≤',
    target: 1.05,
    unit: '',
  },
]);

interface Standing {
  readonly supervisor: Cost;
  readonly database: Cost;
  readonly descriptors: number;
  readonly transactions: number;
}

function costRows(
  name: string,
  { supervisor: own, database, descriptors, transactions }: Standing,
): string[][] {
  const row = (who: string, cost: Cost, ...rest: string[]): string[] => [
    `${who}, ${name}`,
    `${figure(cost.cpuPercent)} %`,
    mib(cost.pssBytes),
    mib(cost.ussBytes),
    ...rest,
  ];
  return [
    row('supervisor', own, String(descriptors), ''),
    row('its PostgreSQL', database, '', figure(transactions)),
  ];
}

async function measureWaking(): Promise<{ wakeMs: number[]; coldMs: number[] }> {
  progress(`putting ${rounds} instances to sleep`);
  const asleep: Instance[] = [];
  for (let made = 0; made < rounds; made += 1) asleep.push(await create(0.02));
  await Promise.all(asleep.map(({ id }) => untilAsleep(id)));
  const found = { wakeMs: [] as number[], coldMs: [] as number[] };
  for (const [round, sleeper] of asleep.entries()) {
    progress(`waking: ${round + 1} of ${rounds}`);
    // It may sleep again while the next ones are measured: nothing of that is anybody's to wait for.
    found.wakeMs.push(await initialize(sleeper));
    const startMs = monotonicMs();
    const cold = await create();
    await initialize(cold);
    found.coldMs.push(monotonicMs() - startMs);
    await Promise.all([cold.id, ...(round === 0 ? [] : [sleeper.id])].map((id) => supervisor.remove(id)));
  }
  const [first] = asleep;
  if (first !== undefined) await untilAsleep(first.id);
  return found;
}

async function create(idleMinutes?: number): Promise<Instance> {
  const { data } = await supervisor.call<Instance>('POST', '/instances', {
    mcp_type: type,
    duration_minutes: 60,
    ...(idleMinutes === undefined ? {} : { idle_minutes: idleMinutes }),
  });
  if (data.status !== 'running') throw new Error(`an instance is ${JSON.stringify(data)}, not running`);
  return data;
}

/** @returns milliseconds until initialize was answered */
async function initialize({ assigned_port: port, access_token: token }: Instance): Promise<number> {
  const session = await openSession({
    ...{ host: '127.0.0.1', port: port ?? 0, path: '/mcp', transport: 'http', tool: 'echo' },
    headers: { Authorization: `Bearer ${token}` },
  });
  session.vanish();
  return session.initializeMs;
}

async function untilAsleep(id: string): Promise<void> {
  const endMs = monotonicMs() + asleepMsMax;
  while (monotonicMs() < endMs) {
    const { data } = await supervisor.call<Instance>('GET', `/instances/${id}`);
    if (data.status === 'disconnected') return;
    await sleep(200);
  }
  throw new Error(`instance ${id} does not go to sleep`);
}

/** Copies the row that sleeps, each onto a port of its own, and waits until the supervisor listens on all of them. */
async function copySleepers(): Promise<void> {
  progress(`copying ${sleepers} sleepers`);
  const wanted = descriptorsOf() + sleepers;
  await withClient(supervisor, (client) =>
    client.query(
      `WITH free AS (SELECT node_id, port, gen_random_uuid() AS id, row_number() OVER () AS number
                     FROM port_allocations WHERE is_available LIMIT $1),
       made AS (INSERT INTO mcp_instances SELECT (jsonb_populate_record(slept, jsonb_build_object(
                  'id', free.id, 'name', 'sleeper-' || number, 'assigned_port', port,
                  'access_token', encode(sha256(free.id::text::bytea), 'hex'),
                  'expires_at', clock_timestamp() + interval '1 hour'))).*
                FROM free, mcp_instances slept
                WHERE slept.status = 'disconnected' AND slept.assigned_port IS NOT NULL RETURNING id, assigned_port)
       UPDATE port_allocations SET is_available = false, mcp_instance_id = made.id
       FROM made WHERE port = made.assigned_port`,
      [sleepers],
    ),
  );
  for (const endMs = monotonicMs() + asleepMsMax; descriptorsOf() < wanted; await sleep(500)) {
    if (monotonicMs() > endMs) throw new Error(`${descriptorsOf()} descriptors, not ${wanted}`);
  }
}

function descriptorsOf(): number {
  return readdirSync(`/proc/${supervisor.pid()}/fd`).length;
}

async function measureCost(): Promise<Standing> {
  await sleep(flags.short ? 2_000 : 10_000);
  progress(`what it costs: ${seconds} s`);
  const transactions = await transactionsOf(supervisor);
  const parts = { supervisor: () => [supervisor.pid()], database: () => supervisor.databasePids() };
  const costs = await costOf(parts, seconds);
  return {
    ...costs,
    descriptors: descriptorsOf(),
    transactions: ((await transactionsOf(supervisor)) - transactions) / seconds,
  };
}
