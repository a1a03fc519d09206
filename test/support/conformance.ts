// Runs the official conformance suite against an MCP endpoint and counts what it says, scenario by scenario.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export type Revision = '2025-11-25' | '2026-07-28';

export interface ScenarioReport {
  readonly name: string;
  readonly scored: boolean;
  readonly passed: number;
  readonly failures: readonly string[];
  readonly warnings: readonly string[];
}

interface Check {
  readonly id: string;
  readonly status: string;
  readonly errorMessage?: string;
}

const suite = dirname(
  createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'),
);

/** Scenarios that a revision scores for servers, as frozen in the suite. */
export async function scoredScenarios(revision: Revision): Promise<string[]> {
  const text = await readFile(join(suite, 'requirements', `${revision}.yaml`), 'utf8');
  const section = /^server:\n((?: +.*\n|#.*\n|\n)*)/m.exec(text)?.[1] ?? '';
  return [...section.matchAll(/^ +- ([\w./-]+)$/gm)].map((match) => match[1] as string);
}

/** Runs every scenario of a revision against a URL that needs no token. */
export async function runSuite(url: string, revision: Revision): Promise<ScenarioReport[]> {
  const directory = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const output = await run(
      ['server', '--url', url, '--requirements', revision, '-o', directory],
      directory,
    );
    const scored = new Set(await scoredScenarios(revision));
    const names = await readdir(directory);
    if (names.length === 0) throw new Error(`the suite ran nothing: ${output.slice(-2_000)}`);
    return await Promise.all(names.sort().map((name) => readReport(directory, name, scored)));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readReport(directory: string, name: string, scored: Set<string>): Promise<ScenarioReport> {
  const checks = JSON.parse(await readFile(join(directory, name, 'checks.json'), 'utf8')) as Check[];
  const scenario = name.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T.*$/, '');
  const said = (status: string): string[] =>
    checks
      .filter((check) => check.status === status)
      .map((check) => `${check.id}: ${check.errorMessage ?? ''}`);
  return {
    name: scenario,
    scored: scored.has(scenario),
    passed: said('SUCCESS').length,
    failures: said('FAILURE'),
    warnings: said('WARNING'),
  };
}

function run(args: string[], cwd: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(suite, 'dist/index.js'), ...args],
      { cwd, maxBuffer: 1e8 },
      (_, out, err) => {
        resolve(`${out}\n${err}`);
      },
    );
  });
}
