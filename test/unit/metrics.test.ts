// Figures and who uses them agree: docs/metrics.md lists what /metrics prints, and every name in the dashboard and the
// alerts is one of those. Prometheus' own tool checks the rules, fires each, and reads a scrape.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createFigures } from '../../src/instances/figures.ts';
import { alertCases, ruleTests } from '../support/alert-cases.ts';
import { offlineApi } from '../support/offline-api.ts';
import { findProgram } from '../support/programs.ts';
import { root } from '../support/source.ts';

const registry = new Registry();
createFigures(registry).watchAdmission({ running: 0, waiting: 0 });
const api = await offlineApi(registry);
const printed = await registry.metrics();
const figures = (await registry.getMetricsAsJSON()).map(({ name, help, type }) => ({ name, help, type }));
await api.close();

const docsFile = join(root, 'docs', 'metrics.md');
const rulesFile = join(root, 'config', 'prometheus-rules.yml');
const dashboardFile = join(root, 'config', 'grafana-dashboard.json');

/** The prose of docs/metrics.md as it is, and the figures as the registry has them. */
function docsText(): string {
  const prose = readFileSync(docsFile, 'utf8').split('| figure |', 1)[0] ?? '';
  const rows = figures
    .filter(({ name }) => name.startsWith('minimcp_'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, help, type }) => `| \`${name}\` | ${type} | ${labelsOf(name)} | ${help} |`);
  return `${prose}${['| figure | kind | labels | what it says |', '|---|---|---|---|', ...rows, ''].join('\n')}`;
}

function labelsOf(name: string): string {
  const metric = registry.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
  const labels = metric.labelNames.filter((label) => label !== 'le');
  return labels.length === 0 ? '' : labels.map((label) => `\`${label}\``).join(', ');
}

// "UPDATE_DOCS=1 vitest run test/unit/metrics.test.ts" writes them anew.
if (process.env.UPDATE_DOCS === '1') writeFileSync(docsFile, docsText());

it('docs/metrics.md lists the figures', () => {
  expect(readFileSync(docsFile, 'utf8')).toBe(docsText());
});

it('a scrape without a database leaves out what it cannot know, and says so', () => {
  expect(printed).toMatch(/^minimcp_database_up 0$/m);
  expect(printed).toMatch(/^minimcp_log_lag_seconds 0$/m);
  expect(printed).not.toMatch(/^minimcp_(instances|ports|leases_ending|queue_oldest_job_seconds)[ {]/m);
});

/** Names of figures in an expression, without the endings a histogram's series have. */
function namesIn(expression: string): string[] {
  return [...expression.matchAll(/\b(?:minimcp|nodejs|process)_[a-z0-9_]+/g)].map(([name]) =>
    name.replace(/_(bucket|sum|count)$/, ''),
  );
}

const known = new Set(figures.map(({ name }) => name));

it('every figure of an alert exists', () => {
  const rules = readFileSync(rulesFile, 'utf8');
  const alerts = rules.split(/^ {6}- alert: /m).slice(1);
  expect(alerts.length).toBeGreaterThan(5);
  for (const alert of alerts) {
    const expression = /^ +expr: (.+)$/m.exec(alert)?.[1] ?? '';
    if (!expression.startsWith('up{')) expect(namesIn(expression), alert).not.toEqual([]);
    expect(namesIn(expression).filter((name) => !known.has(name))).toEqual([]);
    expect(alert).toMatch(/severity: (critical|warning)/);
    expect(alert).toContain('summary: ');
  }
});

it('every figure of the dashboard exists, and every figure of ours is shown', () => {
  interface Panel {
    readonly id: number;
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }
  const { panels } = JSON.parse(readFileSync(dashboardFile, 'utf8')) as { panels: Panel[] };
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const shown = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => namesIn(expr)));
  expect(shown.filter((name) => !known.has(name))).toEqual([]);
  const ours = [...known].filter((name) => name.startsWith('minimcp_'));
  expect(ours.filter((name) => !shown.includes(name))).toEqual([]);
});

const promtool = findProgram('promtool') ?? '';
// setup.ts gets it, or says loudly that this is skipped; with CI=true that is a failure.
describe.skipIf(promtool === '')('promtool', () => {
  it('accepts the alerts', () => {
    execFileSync(promtool, ['check', 'rules', rulesFile], { stdio: 'pipe' });
  });

  it('accepts what is printed', () => {
    execFileSync(promtool, ['check', 'metrics'], { input: printed, stdio: 'pipe' });
  });

  it('sees every alert fire on what it is for, and on nothing less', async () => {
    const names = [...readFileSync(rulesFile, 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect(alertCases.map(({ alert }) => alert)).toEqual(expect.arrayContaining(names));
    for (const name of names) {
      const fires = alertCases.filter(({ alert }) => alert === name).map((one) => one.fires);
      expect([name, fires.includes(true), fires.includes(false)]).toEqual([name, true, true]);
    }
    const dir = await mkdtemp(join(tmpdir(), 'minimcp-rules-'));
    try {
      // JSON is YAML.
      await writeFile(join(dir, 'tests.yml'), JSON.stringify(ruleTests(rulesFile)));
      const run = spawnSync(promtool, ['test', 'rules', 'tests.yml'], { cwd: dir, encoding: 'utf8' });
      expect(`${run.stdout}${run.stderr}`).toContain('SUCCESS');
      expect(run.status).toBe(0);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
