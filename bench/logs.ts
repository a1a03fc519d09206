// npm run bench:logs: log lines on their way into mcp_logs, beside one raw COPY of the same rows; how long a line of a
// child takes to become a row; and how fast the last lines are read among many.
// Options: --rounds N, --lines N, --seconds N, --among N (0 leaves reading out)
import { appendFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { monotonicMs, nowMs, sleep } from '../src/base/clock.ts';
import { pageLogs } from '../src/db/queries/log-looks.ts';
import { begin, chattyShim, type House, openHouse } from './logs/house.ts';
import { figure, printHeading, printTable, printTargets, progress, sampleText } from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import { quantile, ratioOf, sampleOf } from './support/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    lines: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '10' },
    among: { type: 'string', default: '1000000' },
  },
});
const [rounds, lines, seconds, among] = [flags.rounds, flags.lines, flags.seconds, flags.among].map(
  Number,
) as [number, number, number, number];
const copied = 'id, mcp_instance_id, timestamp, level, source, message, metadata, seq';

await using scratch = await openScratch();
await using house = await openHouse(scratch.path);
printHeading('npm run bench:logs', { postgresql: house.version });

const latencies = await measureLatency(house);
const rates = await measureRates(house);
const reads = among > 0 ? await measureReading(house) : [];

const rowsPerSecond = (ms: readonly number[]): string =>
  sampleText(sampleOf(ms.map((one) => lines / (one / 1000))));
printTable(
  [`${lines.toLocaleString('en-US')} lines, rows a second`, 'median ± half the quartiles'],
  [
    ['one raw COPY of the same rows', rowsPerSecond(rates.raw)],
    ['spools of 10 instances → mcp_logs', rowsPerSecond(rates.spool)],
    ["a child's stderr, as fast as it writes → mcp_logs", rowsPerSecond(rates.child)],
  ],
);
latencies.sort((a, b) => a - b);
printTable(
  [`line → row at 1,000 lines/s for ${seconds} s, ms`, ''],
  [0.5, 0.9, 0.99, 1].map((share) => [
    share === 1 ? 'longest' : `p${share * 100}`,
    figure(quantile(latencies, share)),
  ]),
);
if (reads.length > 0) {
  printTable(
    [`last 100 lines of one instance among ${among.toLocaleString('en-US')}`, 'ms'],
    [['median', sampleText(sampleOf(reads))]],
  );
}
printTargets([
  {
    what: 'spool → row, beside one raw COPY',
    measured: ratioOf(rates.raw, rates.spool),
    relation: '≥',
    target: 0.8,
  },
  {
    what: 'stderr → row, beside one raw COPY',
    measured: ratioOf(rates.raw, rates.child),
    relation: '≥',
    target: 0.8,
  },
  {
    what: 'line → row at 1,000 lines/s, p99',
    measured: quantile(latencies, 0.99) / 1000,
    relation: '<',
    target: 0.5,
    unit: 's',
  },
  ...(reads.length > 0
    ? [
        {
          what: `last 100 among ${among.toLocaleString('en-US')}`,
          measured: sampleOf(reads).median,
          relation: '<' as const,
          target: 10,
          unit: 'ms',
        },
      ]
    : []),
]);

/** Milliseconds for all lines, each way in turn. */
async function measureRates(of: House): Promise<{ raw: number[]; spool: number[]; child: number[] }> {
  const times = { raw: [] as number[], spool: [] as number[], child: [] as number[] };
  const ids = await Promise.all(Array.from({ length: 10 }, () => of.addInstance()));
  for (let round = -1; round < rounds; round += 1) {
    progress(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
    const spool = await fromSpools(of, ids);
    const rows = await dump(of);
    await of.clear();
    const startMs = monotonicMs();
    await of.db.tx((tx) => pipeline(rows, tx.client.query(copyFrom(`COPY mcp_logs (${copied}) FROM STDIN`))));
    const raw = monotonicMs() - startMs;
    await of.clear();
    const child = await fromChild(of);
    if (round < 0) continue;
    times.raw.push(raw);
    times.spool.push(spool);
    times.child.push(child);
  }
  return times;
}

async function fromSpools(of: House, ids: readonly string[]): Promise<number> {
  await of.clear();
  await rm(join(of.dataDir, 'instances'), { recursive: true, force: true });
  for (const [at, id] of ids.entries()) {
    const dir = join(of.dataDir, 'instances', id, '1', 'spool');
    await mkdir(dir, { recursive: true });
    let text = '';
    for (let seq = 1; seq <= lines / ids.length; seq += 1) {
      const msg = `${seq} ${nowMs()} the quick brown fox jumps over the lazy dog and back again`;
      text += `${JSON.stringify({ seq, t: nowMs() + at, level: 'info', source: 'process', msg })}\n`;
    }
    await appendFile(join(dir, '0000000001.ndjson'), text);
  }
  const ingest = of.ingest();
  const startMs = monotonicMs();
  await ingest.start();
  while (ingest.lag().stored < lines) await sleep(2);
  const ms = monotonicMs() - startMs;
  await ingest.stop();
  return ms;
}

async function fromChild(of: House): Promise<number> {
  const [ingest, instanceId] = [of.ingest(), await of.addInstance()];
  await using shim = await chattyShim(of, ingest, instanceId, { perSecond: 0, total: lines });
  await ingest.start();
  await sleep(300);
  const before = ingest.lag().stored;
  const startMs = monotonicMs();
  await begin(shim);
  while (ingest.lag().stored - before < lines) await sleep(2);
  const ms = monotonicMs() - startMs;
  await ingest.stop();
  const dropped = await of.db.query(`SELECT 1 FROM mcp_logs WHERE metadata ? 'dropped'`);
  if (dropped.length > 0) throw new Error('the shim dropped lines: the rate is of another number of rows');
  return ms;
}

/** The rows as they were stored, in the text COPY takes. */
async function dump(of: House): Promise<Buffer[]> {
  return of.db.tx(async (tx) => {
    const chunks: Buffer[] = [];
    const stream = tx.client.query(copyTo(`COPY (SELECT ${copied} FROM mcp_logs ORDER BY id) TO STDOUT`));
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return chunks;
  });
}

/** Milliseconds from the writing of a line to the moment a query returns it. */
async function measureLatency(of: House): Promise<number[]> {
  progress(`1,000 lines a second for ${seconds} s`);
  await of.clear();
  const [ingest, instanceId] = [of.ingest(), await of.addInstance()];
  const total = seconds * 1_000;
  await using shim = await chattyShim(of, ingest, instanceId, { perSecond: 1_000, total });
  await ingest.start();
  await begin(shim);
  const latencies: number[] = [];
  for (let after = '00000000-0000-7000-8000-000000000000'; latencies.length < total; ) {
    const rows = await of.db.query<{ id: string; message: string }>(
      `SELECT id, message FROM mcp_logs WHERE mcp_instance_id = $1 AND id > $2 AND source = 'process' ORDER BY id`,
      [instanceId, after],
    );
    const seenMs = nowMs();
    for (const { message } of rows) latencies.push(seenMs - Number(message.split(' ')[1]));
    after = rows.at(-1)?.id ?? after;
    await sleep(5);
  }
  await ingest.stop();
  return latencies;
}

async function measureReading(of: House): Promise<number[]> {
  progress(`filling ${among.toLocaleString('en-US')} lines`);
  await of.clear();
  const ids = await Promise.all(Array.from({ length: 100 }, () => of.addInstance()));
  await of.db.query(
    `INSERT INTO mcp_logs (id, mcp_instance_id, timestamp, message)
     SELECT gen_random_uuid(), ($1::uuid[])[1 + n % 100], now() - n * interval '1 millisecond', 'line ' || n
     FROM generate_series(1, $2::int) AS n`,
    [ids, among],
  );
  await of.db.query('ANALYZE mcp_logs');
  const times: number[] = [];
  for (let round = 0; round < 50; round += 1) {
    const startMs = monotonicMs();
    const instanceId = ids[round % ids.length] ?? '';
    const { rows } = await pageLogs(of.db, { instanceId, after: null, limit: 100 });
    times.push(monotonicMs() - startMs);
    if (rows.length !== 100) throw new Error('not every line is there');
  }
  return times;
}
