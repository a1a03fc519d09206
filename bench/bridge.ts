// npm run bench:bridge: our bridge beside its peers and beside the least one possible, in front of server-everything
// over stdio, tool echo, 32 bytes. Prints one table and what holds of the targets.
// Options: --short, --rounds N, --window MS, --calls N, --only NAME,NAME, --bundle FILE (another build of the shim),
// --parts rates,memory,sessions,starts
import { parseArgs } from 'node:util';
import { measureMemory, measureSessions, measureStarts } from './bridge/holdings.ts';
import { measureRates } from './bridge/rates.ts';
import { type Findings, printFindings } from './bridge/tables.ts';
import * as bridges from './support/bridges.ts';
import { printHeading } from './support/report.ts';
import { openScratch } from './support/scratch.ts';
import type { Subject } from './support/subject.ts';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    window: { type: 'string' },
    calls: { type: 'string' },
    only: { type: 'string' },
    bundle: { type: 'string' },
    parts: { type: 'string', default: 'rates,memory,sessions,starts' },
  },
});
const rounds = Number(flags.rounds ?? (flags.short ? 5 : 40));
const windowMs = Number(flags.window ?? 120);
const calls = Number(flags.calls ?? (flags.short ? 3_000 : 20_000));
const parts = flags.parts.split(',');

await using scratch = await openScratch();
const all: Subject[] = [
  bridges.minimcp(scratch.path),
  ...(flags.bundle === undefined ? [] : [bridges.minimcp(scratch.path, flags.bundle)]),
  bridges.leastShim(scratch.path, true),
  bridges.leastShim(scratch.path, false),
  await bridges.mcpHub(scratch.path),
  await bridges.supergateway(scratch.path),
  await bridges.mcpProxy(scratch.path),
  bridges.ownHttp(scratch.path),
];
const wanted = flags.only?.split(',');
const subjects = all.filter(({ name }) => wanted?.some((part) => name.includes(part)) ?? true);

const command = ['npm run bench:bridge', process.argv.slice(2).join(' ')].filter(Boolean).join(' -- ');
printHeading(command, { ...bridges.peerVersions, 'server-everything': bridges.serverVersion });
const findings: Findings = {
  subjects: subjects.map(({ name }) => name),
  rates: parts.includes('rates')
    ? await measureRates({ subjects, rounds, windowMs, warmUpCalls: calls })
    : new Map(),
  memory: parts.includes('memory')
    ? await measureMemory({ subjects, rounds: flags.short ? 1 : 3, calls })
    : new Map(),
  sessions: parts.includes('sessions')
    ? await measureSessions({
        subjects,
        open: 64,
        passing: flags.short ? 20 : 200,
        vanishing: flags.short ? 5 : 50,
        rounds: ({ name }) => (name === 'MiniMCP' ? (flags.short ? 3 : 10) : 1),
      })
    : new Map(),
  starts: parts.includes('starts') ? await measureStarts(subjects, Math.ceil(rounds / 4)) : new Map(),
};
printFindings(findings, { calls, rounds, windowMs });
