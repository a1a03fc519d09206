// The runs of the conformance suite that are promised: which server, behind a shim or direct, in which revision, and
// how many scenarios must pass. Run as a program (`npm run conformance`) it does all of them, prints one table, and
// exits 1 when one is below its promise.
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import {
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
} from '@modelcontextprotocol/node';
import { createMcpHandler } from '@modelcontextprotocol/server';
import type { ChildSpec } from '../../src/shim/contract.ts';
import { createModernServer } from '../fixtures/mcp/modern.ts';
import { type Revision, runSuite, type ScenarioReport } from './conformance.ts';
import { freePort, startShim, until } from './shim-harness.ts';
import { startTokenProxy } from './token-proxy.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'mcp');
const everything = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')),
  'dist/index.js',
);

export interface Leg {
  readonly name: string;
  readonly revision: Revision;
  /** Scored scenarios that must pass; the others are explained in docs/conformance.md. */
  readonly needed: number;
  run(): Promise<Outcome>;
}

export interface Outcome {
  readonly reports: readonly ScenarioReport[];
  /** Most processes of the instance seen besides the shim; null without a shim. */
  readonly childrenMax: number | null;
}

/** Every leg, quickest promise first. */
export const legs: readonly Leg[] = [
  {
    name: 'legacy server, through the shim',
    revision: '2025-11-25',
    needed: 30,
    run: () => throughShim({ args: [join(fixtures, 'legacy-server.ts')] }, '2025-11-25'),
  },
  {
    name: 'legacy server, through the shim',
    revision: '2026-07-28',
    needed: 36,
    run: () => throughShim({ args: [join(fixtures, 'legacy-server.ts')] }, '2026-07-28'),
  },
  {
    name: 'modern server, through the shim',
    revision: '2026-07-28',
    needed: 37,
    run: () => throughShim({ args: [join(fixtures, 'modern-server.ts')], era: 'modern' }, '2026-07-28'),
  },
  { name: 'modern server, direct', revision: '2026-07-28', needed: 37, run: modernDirect },
  {
    name: 'server-everything, through the shim',
    revision: '2025-11-25',
    needed: 0,
    run: () => throughShim({ args: [everything, 'stdio'] }, '2025-11-25'),
  },
  { name: 'server-everything, direct', revision: '2025-11-25', needed: 0, run: everythingDirect },
];

async function throughShim(
  child: Pick<ChildSpec, 'args'> & Partial<ChildSpec>,
  revision: Revision,
): Promise<Outcome> {
  await using shim = await startShim({ child });
  await using proxy = await startTokenProxy(shim.url, shim.token);
  let childrenMax = shim.processes().length;
  const look = setInterval(() => {
    childrenMax = Math.max(childrenMax, shim.processes().length);
  }, 250);
  try {
    return { reports: await runSuite(proxy.url, revision), childrenMax };
  } finally {
    clearInterval(look);
  }
}

async function modernDirect(): Promise<Outcome> {
  const handler = createMcpHandler(() =>
    createModernServer({
      toolsChanged: () => handler.notify.toolsChanged(),
      promptsChanged: () => handler.notify.promptsChanged(),
      resourceUpdated: (uri) => handler.notify.resourceUpdated(uri),
    }),
  );
  const answer = toNodeHandler(handler);
  const guards = [localhostHostValidation(), localhostOriginValidation()];
  const server = createServer((request, response) => {
    if (guards.every((guard) => guard(request, response))) void answer(request as never, response as never);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return { reports: await runSuite(`http://localhost:${port}/mcp`, '2026-07-28'), childrenMax: null };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function everythingDirect(): Promise<Outcome> {
  const port = await freePort();
  const server: ChildProcess = spawn(process.execPath, [everything, 'streamableHttp'], {
    env: { PATH: process.env.PATH ?? '', PORT: String(port) },
    stdio: 'ignore',
  });
  const url = `http://localhost:${port}/mcp`;
  try {
    await until(
      () =>
        fetch(url).then(
          () => true,
          () => undefined,
        ),
      'server-everything over HTTP',
    );
    return { reports: await runSuite(url, '2025-11-25'), childrenMax: null };
  } finally {
    server.kill('SIGKILL');
  }
}

/** Scored scenarios without a failure. */
export function passedOf({ reports }: Outcome): ScenarioReport[] {
  return reports.filter((report) => report.scored && report.failures.length === 0);
}

async function main(): Promise<void> {
  const rows: Record<string, unknown>[] = [];
  const notes: string[] = [];
  let isBelow = false;
  for (const leg of legs) {
    const outcome = await leg.run();
    const scored = outcome.reports.filter((report) => report.scored);
    const passed = passedOf(outcome).length;
    const checks = scored.reduce((sum, report) => sum + report.passed, 0);
    const failed = scored.reduce((sum, report) => sum + report.failures.length, 0);
    isBelow ||= passed < leg.needed || (outcome.childrenMax ?? 1) !== 1;
    rows.push({
      server: leg.name,
      revision: leg.revision,
      scenarios: `${passed}/${scored.length}`,
      needed: leg.needed,
      checks: `${checks}/${checks + failed}`,
      children: outcome.childrenMax ?? '–',
    });
    if (leg.needed === 0) continue;
    for (const { name, failures, warnings } of scored)
      for (const line of [...failures, ...warnings])
        notes.push(`${leg.name}, ${leg.revision}, ${name}: ${line}`);
  }
  console.table(rows);
  for (const note of notes) console.log(note);
  process.exitCode = isBelow ? 1 : 0;
}

if (import.meta.main) await main();
