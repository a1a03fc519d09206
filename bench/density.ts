// npm run bench:density: what a supervisor and its PostgreSQL cost while a hundred instances do nothing, beside the
// same with none, and beside PM2 with as many idle Node processes; and how many transactions its checks make.
// Options: --short, --instances N, --seconds N, --type NAME, --no-pm2
import { execFile } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { sleep } from '../src/base/clock.ts';
import { type Cost, costOf, transactionsOf } from './support/cost.ts';
import { withClient } from './support/database.ts';
import { commandOf, residents, tree } from './support/processes.ts';
import { figure, mib, printHeading, printTable, printTargets, progress } from './support/report.ts';
import { installPeer, openScratch } from './support/scratch.ts';
import { type Supervisor, startSupervisor } from './support/supervisor.ts';

const run = promisify(execFile);
const pm2Version = '7.0.4';
const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    instances: { type: 'string' },
    seconds: { type: 'string' },
    type: { type: 'string', default: 'memory' },
    'no-pm2': { type: 'boolean', default: false },
  },
});
const count = Number(flags.instances ?? (flags.short ? 10 : 100));
const seconds = Number(flags.seconds ?? (flags.short ? 15 : 60));
/** Time for what starting stirred up to settle. */
const settleMs = flags.short ? 5_000 : 20_000;

interface Idle {
  readonly supervisor: Cost;
  readonly database: Cost;
  readonly instances: Cost;
  /** Committed and rolled back, a second. */
  readonly transactions: number;
}

/** What the health checks of a while asked of the database. */
interface Checks {
  readonly sweeps: number;
  readonly reads: number;
  readonly writes: number;
}

await using scratch = await openScratch();
const ours = await measureOurs();
const pm2 = flags['no-pm2'] ? undefined : await measurePm2();

const command = ['npm run bench:density', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
printHeading(command, pm2 === undefined ? {} : { pm2: pm2Version });
const row = (name: string, cost: Cost): string[] => [
  name,
  `${figure(cost.cpuPercent)} %`,
  mib(cost.pssBytes),
  mib(cost.ussBytes),
];
const both = (idle: Idle): Cost => sum(idle.supervisor, idle.database);
printTable(
  [`over ${seconds} s`, 'of one core', 'PSS MiB', 'private MiB'],
  [
    row('supervisor, no instance', ours.empty.supervisor),
    row('its PostgreSQL, no instance', ours.empty.database),
    row(`supervisor, ${count} idle instances`, ours.full.supervisor),
    row(`its PostgreSQL, ${count} idle instances`, ours.full.database),
    row(`both, ${count} idle instances`, both(ours.full)),
    row(`the ${count} instances: shims, sandboxes, servers`, ours.full.instances),
    ...(pm2 === undefined ? [] : [row(`PM2's daemon, ${count} idle processes`, pm2)]),
  ],
);
printTable(
  ['transactions a second', ''],
  [
    ['no instance', figure(ours.empty.transactions)],
    [`${count} idle instances`, figure(ours.full.transactions)],
  ],
);
printTargets([
  {
    what: `supervisor and PostgreSQL, ${count} idle instances`,
    measured: both(ours.full).cpuPercent,
    relation: '<',
    target: 2,
    unit: '% of one core',
  },
  ...(pm2 === undefined
    ? []
    : [
        {
          what: 'their memory (PSS), to PM2',
          measured: both(ours.full).pssBytes / pm2.pssBytes,
          relation: '≤' as const,
          target: 1.2,
        },
        {
          what: 'the supervisor’s memory (PSS), to PM2',
          measured: ours.full.supervisor.pssBytes / pm2.pssBytes,
          relation: '≤' as const,
          target: 1.2,
        },
      ]),
  ...(ours.checks === undefined
    ? []
    : [
        {
          what: `statements that write health, a sweep of ${count} instances`,
          measured: ours.checks.writes / ours.checks.sweeps,
          relation: '≤' as const,
          target: 1.2,
          unit: '',
        },
        {
          what: 'statements that read what to check, a sweep',
          measured: ours.checks.reads / ours.checks.sweeps,
          relation: '≤' as const,
          target: 1.2,
          unit: '',
        },
      ]),
]);

async function measureOurs(): Promise<{ empty: Idle; full: Idle; checks: Checks | undefined }> {
  progress('starting a supervisor');
  await using supervisor = await startSupervisor(scratch.path, count);
  await sleep(settleMs);
  progress(`no instance: ${seconds} s`);
  const empty = await measureIdle(supervisor, []);
  progress(`starting ${count} instances of ${flags.type}`);
  const made = await supervisor.createMany(flags.type, count);
  await sleep(settleMs);
  progress(`${count} instances: ${seconds} s`);
  const full = await measureIdle(
    supervisor,
    made.map((instance) => supervisor.shimOf(instance)),
  );
  return { empty, full, checks: await watchChecks(supervisor) };
}

async function measureIdle(supervisor: Supervisor, shims: readonly number[]): Promise<Idle> {
  const parts = {
    supervisor: () => [supervisor.pid()],
    database: () => supervisor.databasePids(),
    instances: () => shims.flatMap(tree),
  };
  const before = await transactionsOf(supervisor);
  const costs = await costOf(parts, seconds);
  const after = await transactionsOf(supervisor);
  return { ...costs, transactions: (after - before) / seconds };
}

/**
 * Counts the statements of the health checks in the server's own log, where that is ours to read. A sweep ends with its
 * write; the reads are those of its job, which the
 * reconciliation of every half minute makes too. The edges of the minute count, hence 1.2.
 */
async function watchChecks(supervisor: Supervisor): Promise<Checks | undefined> {
  if (process.env.DATABASE_URL !== undefined) return undefined;
  progress('statements of the health checks: 60 s');
  const log = join(supervisor.dataDir, 'pg', 'postgres.log');
  const setLogging = (value: string): Promise<void> =>
    withClient(supervisor, async (client) => {
      await client.query(`ALTER SYSTEM SET log_statement = '${value}'`);
      await client.query('SELECT pg_reload_conf()');
    });
  await setLogging('all');
  await sleep(500);
  const { size } = await stat(log);
  await sleep(60_000);
  const text = (await readFile(log, 'utf8')).slice(size);
  await setLogging('none');
  const found = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
  const [sweeps, reconciliations] = [6, 2];
  return {
    sweeps,
    writes: found(/UPDATE mcp_instances\s+SET health/g),
    reads:
      found(/lease_over\s+FROM mcp_instances\s+WHERE node_id = \$1 AND status IN \('pending/g) -
      reconciliations,
  };
}

/** PM2's daemon with as many processes that do nothing. */
async function measurePm2(): Promise<Cost> {
  const place = await installPeer('pm2', pm2Version);
  const home = join(scratch.path, 'pm2');
  await mkdir(home);
  const idle = join(home, 'idle.cjs');
  await writeFile(idle, 'setInterval(() => {}, 1_000_000);\n');
  const apps = Array.from({ length: count }, (_, at) => ({
    name: `idle-${at}`,
    script: idle,
    exec_mode: 'fork',
  }));
  const config = join(home, 'apps.json');
  await writeFile(config, JSON.stringify({ apps }));
  const env = { PATH: process.env.PATH ?? '', HOME: home, PM2_HOME: join(home, 'state') };
  const pm2 = (...args: string[]) => run(process.execPath, [join(place, 'bin', 'pm2'), ...args], { env });
  progress(`starting PM2 with ${count} processes`);
  try {
    await pm2('start', config);
    await sleep(settleMs);
    progress(`PM2: ${seconds} s`);
    const { daemon } = await costOf(
      {
        daemon: () => residents(home).filter((pid) => commandOf(pid).includes('God Daemon')),
      },
      seconds,
    );
    return daemon;
  } finally {
    await pm2('kill').catch(() => {});
    for (const pid of residents(home)) process.kill(pid, 'SIGKILL');
  }
}

function sum(one: Cost, other: Cost): Cost {
  return {
    cpuPercent: one.cpuPercent + other.cpuPercent,
    ussBytes: one.ussBytes + other.ussBytes,
    pssBytes: one.pssBytes + other.pssBytes,
  };
}
