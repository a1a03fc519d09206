// npm run bench:api: what the API answers, how fast, at what cost, beside the same query by bare pg and a bare route of the
// same framework in the same run. Options: --short, --rounds N, --instances N, --lines N
import { parseArgs } from 'node:util';
import { monotonicMs } from '../src/base/clock.ts';
import { openDb } from '../src/db/pool.ts';
import { listInstanceViews, readInstanceView } from '../src/db/queries/instance-views.ts';
import { pageLogs } from '../src/db/queries/log-looks.ts';
import { fanOut } from './api/fan-out.ts';
import { fill } from './api/fill.ts';
import { type ApiPlace, ask, serve, timed } from './api/place.ts';
import { commandOf, cpuMs, residents } from './support/processes.ts';
import { figure, printHeading, printTable, printTargets, progress, sampleText } from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import { inRounds, quantile, sampleOf } from './support/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    instances: { type: 'string', default: '100000' },
    lines: { type: 'string' },
  },
});
const rounds = Number(flags.rounds ?? (flags.short ? 3 : 10));
const instances = Number(flags.instances);
const lines = Number(flags.lines ?? (flags.short ? 100_000 : 1_000_000));
/** Requests of one row in one round: one at a time, and 16 in flight. */
const [alone, together] = flags.short ? [20, 100] : [50, 400];

await using scratch = await openScratch();
await using api = await serve<ApiPlace>('./server.ts', scratch.path);
await using bare = await serve<{ url: string }>('./bare-route.ts', '900');
const { url, token, nodeId, connection } = api.place;
const db = openDb({
  ...{ connection, connectionsMax: 16, acquireTimeoutMs: 10_000, statementTimeoutMs: 600_000 },
  onError: () => {},
});
progress(`filling ${instances} instances and ${lines} lines`);
const { userId, instanceId } = await fill(db, nodeId, instances, lines);
for (const key of ['mcp.max_instances_per_user', 'mcp.max_creations_per_hour']) await set(key, 100_000);
const [version] = await db.query<{ server_version: string }>('SHOW server_version');

const principal = { userId, role: 'admin' } as const;
const list = { viewerId: null, includeEnded: true, after: null, limit: 51 };
const path = `/api/v1/instances/${instanceId}`;
const over = (of: string) => () => answered({ path: of, token });

interface Row {
  readonly name: string;
  readonly once: (nth: number) => Promise<unknown>;
  /** Too slow, or of no use, 16 at a time. */
  readonly aloneOnly?: boolean;
  readonly pids?: () => number[];
  readonly aloneMs: number[];
  readonly perSecond: number[];
  readonly cpuUs: number[];
  readonly databaseCpuUs: number[];
}
const row = (name: string, once: Row['once'], rest: Partial<Row> = {}): Row => ({
  ...{ name, once, aloneMs: [], perSecond: [], cpuUs: [], databaseCpuUs: [], ...rest },
});
const onlyPg = { pids: () => [process.pid] };
const rows = {
  bare: row('floor: a bare route, 900 bytes', () => ask(bare.place.url, { path: '/' }), {
    pids: () => [bare.pid],
  }),
  me: row('GET /me: who asks, and nothing else', over('/api/v1/me')),
  onePg: row(
    'floor: one instance, bare pg',
    () => db.as(principal, (q) => readInstanceView(q, instanceId, null)),
    onlyPg,
  ),
  one: row('GET one instance', over(path)),
  listPg: row(
    'floor: 50 of the instances, bare pg',
    () => db.as(principal, (q) => listInstanceViews(q, list)),
    onlyPg,
  ),
  list: row('GET 50 of the instances', over('/api/v1/instances?include_ended=true&limit=50')),
  logsPg: row(
    'floor: last 100 lines, bare pg',
    () => db.as(principal, (q) => pageLogs(q, { instanceId, after: null, limit: 101 })),
    onlyPg,
  ),
  logs: row('GET last 100 lines', over(`${path}/logs?limit=100`)),
  all: row('GET a search, 100 lines, all match', over(`${path}/logs?limit=100&q=REQUEST`), {
    aloneOnly: true,
  }),
  some: row('GET a search, 100 lines, one in 100 matches', over(`${path}/logs?limit=100&q=in%207%20ms`), {
    aloneOnly: true,
  }),
  create: row('POST /instances, admitted', () => create()),
};
await inRounds({
  subjects: Object.values(rows),
  rounds,
  onRound: (round) => progress(`round ${round + 1} of ${rounds}`),
  measure,
});
const nothing = await searchThrough();
const contended = await contend();
const ending: string[] = [];
for (let made = 0; made < (flags.short ? 5 : 30); made += 1) ending.push(await create());
const fan = await fanOut({ url, token, listeners: 100, ending });
await db.close();

printHeading(['npm run bench:api', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- '), {
  postgresql: version?.server_version ?? '',
});
printTable(
  [
    `${instances.toLocaleString('en-US')} instances, ${lines.toLocaleString('en-US')} lines`,
    ...['one at a time, ms', '16 in flight, a second', 'CPU µs each', 'of PostgreSQL, µs'],
  ],
  Object.values(rows).map(({ name, aloneMs, perSecond, cpuUs, databaseCpuUs }) => [
    name,
    ...[aloneMs, perSecond, cpuUs, databaseCpuUs].map((one) =>
      one.length === 0 ? '' : sampleText(sampleOf(one)),
    ),
  ]),
);
printTable(
  ['', ''],
  [
    ['a search for what is not there: lines looked through a second', figure(nothing.perSecond)],
    ['its pages, and the longest, ms', `${nothing.pages}; ${figure(nothing.longestMs)}`],
    ['50 at once for one user with 10 left: admitted, and all answered after, ms', contended],
    ['a change, until the first of 100 listeners has it, ms', sampleText(sampleOf(fan.firstMs))],
    ['until the last has it, ms', sampleText(sampleOf(fan.lastMs))],
  ],
);
const median = (of: Row): number => sampleOf(of.aloneMs).median;
printTargets([
  {
    what: 'page of 50 among the instances',
    measured: median(rows.list),
    relation: '<',
    target: 10,
    unit: 'ms',
  },
  { what: 'last 100 lines', measured: median(rows.logs), relation: '<', target: 10, unit: 'ms' },
]);

async function measure({ once, aloneOnly, pids, ...into }: Row): Promise<void> {
  const one = await timed(aloneOnly === true ? 5 : alone, 1, once);
  into.aloneMs.push(
    quantile(
      one.tookMs.sort((a, b) => a - b),
      0.5,
    ),
  );
  if (aloneOnly === true) return;
  const server = pids?.() ?? [api.pid];
  const database = residents(scratch.path).filter((pid) => commandOf(pid).includes('postgres'));
  const before = [cpuMs(server), cpuMs(database)] as const;
  const { elapsedMs } = await timed(together, 16, once);
  into.perSecond.push((together * 1_000) / elapsedMs);
  into.cpuUs.push(((cpuMs(server) - before[0]) * 1_000) / together);
  into.databaseCpuUs.push(((cpuMs(database) - before[1]) * 1_000) / together);
}

async function answered(of: Parameters<typeof ask>[1]): Promise<string> {
  const { status, text } = await ask(url, of);
  if (status >= 300) throw new Error(`${of.method ?? 'GET'} ${of.path} was answered ${status}: ${text}`);
  return text;
}

async function set(key: string, value: number): Promise<void> {
  await answered({ method: 'PUT', path: `/api/v1/settings/${key}`, token, body: { value } });
}

/** @returns the id of a new instance, pending */
async function create(): Promise<string> {
  const text = await answered({
    method: 'POST',
    path: '/api/v1/instances',
    token,
    body: { mcp_type: 'bench' },
  });
  return JSON.parse(text).data.id;
}

/** From page to page to the end of the log. */
async function searchThrough(): Promise<{ perSecond: number; pages: number; longestMs: number }> {
  progress('a search for what is not there');
  const took: number[] = [];
  for (let cursor = ''; cursor !== 'null'; ) {
    const beganMs = monotonicMs();
    const after = cursor === '' ? '' : `&cursor=${cursor}`;
    const page = JSON.parse(await answered({ path: `${path}/logs?q=nowhere${after}`, token }));
    took.push(monotonicMs() - beganMs);
    cursor = String(page.meta.next_cursor);
  }
  const all = took.reduce((sum, one) => sum + one, 0);
  return { perSecond: (lines * 1_000) / all, pages: took.length, longestMs: Math.max(...took) };
}

/** Fifty requests at once where ten are left. */
async function contend(): Promise<string> {
  progress('one quota, fifty at once');
  const body = { email: 'contender@example.com', name: 'c', max_instances: 10 };
  const made = JSON.parse(await answered({ method: 'POST', path: '/api/v1/users', token, body }));
  const mine = { name: 'c', user_id: made.data.id };
  const own = JSON.parse(await answered({ method: 'POST', path: '/api/v1/tokens', token, body: mine })).data
    .api_token;
  const wish = { method: 'POST', path: '/api/v1/instances', token: own, body: { mcp_type: 'bench' } };
  let admitted = 0;
  const { elapsedMs } = await timed(50, 50, async () => {
    if ((await ask(url, wish)).status === 201) admitted += 1;
  });
  return `${admitted}; ${figure(elapsedMs)}`;
}
