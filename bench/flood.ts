// npm run bench:flood: one instance writes a gigabyte of log as fast as it is taken, while its neighbours are called:
// what that does to their times beside the same neighbours before it, and what it costs the shim, the spool, the
// supervisor. Every line must be stored or counted. P8 of docs/reliability.md.
// Options: --short (100 MB), --mb N, --neighbours N
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { monotonicMs, sleep } from '../src/base/clock.ts';
import { connectLegacy } from '../test/support/mcp-http.ts';
import { addProgramType, floodingServer, floodLineBytes } from '../test/support/types.ts';
import { withClient } from './support/database.ts';
import { startLoad } from './support/load-driver.ts';
import type { Target } from './support/mcp-session.ts';
import { figure, mib, printHeading, printTable, printTargets, progress } from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import { type Instance, startSupervisor } from './support/supervisor.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    mb: { type: 'string' },
    neighbours: { type: 'string' },
  },
});
const lines = Math.ceil((Number(flags.mb ?? (flags.short ? 100 : 1_000)) * 1_000_000) / floodLineBytes);
const count = Number(flags.neighbours ?? 4);
const everyMs = 10;
const quietMs = flags.short ? 5_000 : 20_000;
/** Longest a line may take until it is stored or counted, once nothing more is written. */
const endMsMax = 1_800_000;

await using scratch = await openScratch();
progress('starting a supervisor');
await using supervisor = await startSupervisor(scratch.path, count + 1);
await addProgramType(supervisor, 'flooding', floodingServer);
await supervisor.call('PUT', '/settings/logs.max_mb_per_day', { value: 100_000 });
const neighbours = await supervisor.createMany('flooding', count);
const loud = await supervisor.create('flooding');
const shim = supervisor.shimOf(loud);
const quietPeak = peakOf(supervisor.pid());

using load = startLoad();
progress('the neighbours, undisturbed');
await load.run({ do: 'watch', targets: neighbours.map(targetOf), everyMs });
await sleep(quietMs);
const before = await load.run({ do: 'watched' });

progress(`${lines} lines of ${floodLineBytes} bytes`);
await load.run({ do: 'watch', targets: neighbours.map(targetOf), everyMs });
const startMs = monotonicMs();
const url = `http://127.0.0.1:${loud.assigned_port}/mcp`;
const client = await connectLegacy({ url, token: loud.access_token });
await client.call('flood', { bytes: lines * floodLineBytes });
let spoolPeak = 0;
const account = await withClient(supervisor, async (client) => {
  for (;;) {
    await sleep(250);
    spoolPeak = Math.max(spoolPeak, spoolBytes());
    const { rows } = await client.query<{ kept: string; dropped: string }>(
      `SELECT count(*) FILTER (WHERE source = 'process') AS kept,
         coalesce(sum((metadata->>'dropped')::bigint) FILTER (WHERE metadata->>'of' = 'process'), 0) AS dropped
       FROM mcp_logs WHERE mcp_instance_id = $1`,
      [loud.id],
    );
    const [kept, dropped] = [Number(rows[0]?.kept), Number(rows[0]?.dropped)];
    if (kept + dropped >= lines) return { kept, dropped };
    if (monotonicMs() - startMs > endMsMax)
      throw new Error(`${kept} stored and ${dropped} counted of ${lines}`);
  }
});
const tookS = (monotonicMs() - startMs) / 1_000;
const during = await load.run({ do: 'watched' });

const command = ['npm run bench:flood', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
printHeading(command, {});
printTable(
  [`${count} neighbours, each called every ${everyMs} ms`, 'before', 'during the flood'],
  [
    ['calls', String(before.calls), String(during.calls)],
    ['calls that failed', String(before.failed), String(during.failed)],
    ['p50, ms', figure(before.p50Ms), figure(during.p50Ms)],
    ['p99, ms', figure(before.p99Ms), figure(during.p99Ms)],
    ['longest, ms', figure(before.longestMs), figure(during.longestMs)],
  ],
);
printTable(
  [`${figure((lines * floodLineBytes) / 1e6)} MB of log`, ''],
  [
    ['until every line was stored or counted, s', figure(tookS)],
    ['lines stored', String(account.kept)],
    ['lines counted as dropped', String(account.dropped)],
    ['shim, most memory, MiB', mib(peakOf(shim))],
    ['spool, most on disk, MiB', mib(spoolPeak)],
    ['supervisor, most memory before, MiB', mib(quietPeak)],
    ['supervisor, most memory, MiB', mib(peakOf(supervisor.pid()))],
  ],
);
printTargets([
  { what: 'calls of neighbours that failed', measured: during.failed, relation: '≤', target: 0, unit: '' },
  { what: 'p99 of neighbours, to before', measured: during.p99Ms / before.p99Ms, relation: '≤', target: 2 },
  { what: 'memory of the shim', measured: peakOf(shim) / 2 ** 20, relation: '<', target: 150, unit: 'MiB' },
  {
    what: 'lines neither stored nor counted, or twice',
    measured: Math.abs(account.kept + account.dropped - lines),
    relation: '≤',
    target: 0,
    unit: '',
  },
]);

function targetOf({ assigned_port: port, access_token: token }: Instance): Target {
  const headers = { Authorization: `Bearer ${token}` };
  return { host: '127.0.0.1', port: port ?? 0, path: '/mcp', transport: 'http', tool: 'echo', headers };
}

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function spoolBytes(): number {
  const dir = join(supervisor.dataDir, 'instances', loud.id, '1', 'spool');
  return readdirSync(dir).reduce(
    (sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}
