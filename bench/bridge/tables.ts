// Prints what bench:bridge found: one table of figures, one of ratios to ours, and the targets. What was not measured
// is a dash, and no target is judged on it.
import { figure, mib, printTable, printTargets, sampleText, type Target } from '../support/report.ts';
import { ratioOf, type Sample, sampleOf } from '../support/statistics.ts';
import type { MemoryUse, SessionUse } from './holdings.ts';
import { type Rates, shapes } from './rates.ts';

export interface Findings {
  /** Names, in the order of the columns. */
  readonly subjects: readonly string[];
  readonly rates: ReadonlyMap<string, Rates>;
  readonly memory: ReadonlyMap<string, MemoryUse>;
  readonly sessions: ReadonlyMap<string, SessionUse>;
  readonly starts: ReadonlyMap<string, Sample>;
}

export interface Extent {
  readonly rounds: number;
  readonly windowMs: number;
  readonly calls: number;
}

const ours = 'MiniMCP';

/** Prints everything. */
export function printFindings(found: Findings, extent: Extent): void {
  process.stdout.write(
    `\n${extent.rounds} rounds in turn, ${extent.windowMs} ms a cell, ${extent.calls} calls for memory; median ± half the distance of the quartiles; ratios are the median of the rounds’ ratios.\n`,
  );
  printTable(['', ...found.subjects], [...rateRows(found), ...holdingRows(found)]);
  const targets = targetsOf(found);
  if (targets.length > 0) printTargets(targets);
  const growth = found.sessions.get(ours)?.afterBytes;
  if (growth !== undefined)
    process.stdout.write(
      `\nPrivate MiB of ours after each round of clients: ${growth.map(mib).join(', ')}\n`,
    );
}

function rateRows({ subjects, rates }: Findings): string[][] {
  if (rates.size === 0) return [];
  const row = (label: string, cell: (rates: Rates) => string): string[] => [
    label,
    ...subjects.map((name) => {
      const one = rates.get(name);
      return one === undefined ? '–' : cell(one);
    }),
  ];
  const perShape = shapes.flatMap(({ inFlight, sessions }, at) => {
    const label = `${inFlight} in flight, ${sessions === 1 ? 'one session' : `${sessions} sessions`}`;
    return [
      row(`calls/s, ${label}`, (one) => samplesText(one.shapes[at]?.perSecond)),
      row(`p50 / p99 ms, ${label}`, (one) => {
        const shape = one.shapes[at];
        return shape === undefined ? '–' : `${middle(shape.p50Ms)} / ${middle(shape.p99Ms)}`;
      }),
      row(`bridge CPU µs a call, ${label}`, (one) => samplesText(one.shapes[at]?.cpuUs)),
    ];
  });
  return [...perShape, row('next session’s initialize, ms', (one) => samplesText(one.initializeMs))];
}

function holdingRows({ subjects, memory, sessions, starts }: Findings): string[][] {
  const row = <Found>(
    label: string,
    found: ReadonlyMap<string, Found>,
    cell: (one: Found) => string,
  ): string[][] =>
    found.size === 0
      ? []
      : [
          [
            label,
            ...subjects.map((name) => {
              const one = found.get(name);
              return one === undefined ? '–' : cell(one);
            }),
          ],
        ];
  const mega = 1 / 1024 ** 2;
  return [
    ...row('private MiB, idle', memory, (one) => sampleText(one.idle, mega)),
    ...row('private MiB, after load', memory, (one) => sampleText(one.loaded, mega)),
    ...row('64 sessions, whole tree, PSS MiB', sessions, (one) => mib(one.openPssBytes)),
    ...row('clients gone: processes left', sessions, (one) => String(one.extraProcesses)),
    ...row(
      'clients gone: private MiB before → after',
      sessions,
      (one) => `${mib(one.beforeBytes)} → ${mib(one.afterBytes.at(-1) ?? 0)}`,
    ),
    ...row('clients gone: whole tree, PSS MiB more', sessions, (one) => mib(one.extraPssBytes)),
    ...row('start to first answered call, ms', starts, (one) => sampleText(one)),
  ];
}

function samplesText(values: readonly number[] | undefined): string {
  return values === undefined ? '–' : sampleText(sampleOf(values));
}

function middle(values: readonly number[]): string {
  return figure(sampleOf(values).median);
}

function targetsOf(found: Findings): Target[] {
  return [...rateTargets(found), ...memoryTargets(found)];
}

function rateTargets({ rates }: Findings): Target[] {
  const own = rates.get(ours);
  if (own === undefined) return [];
  const targets: Target[] = [];
  const beside = (name: string, add: (other: Rates) => void): void => {
    const other = rates.get(name);
    if (other !== undefined) add(other);
  };
  /** The worst shape decides. */
  const extreme = (
    other: Rates,
    pick: 'perSecond' | 'cpuUs',
    which: 'min' | 'max',
    of: (inFlight: number) => boolean = () => true,
  ): number =>
    Math[which](
      ...shapes.flatMap(({ inFlight }, at) => {
        return of(inFlight) ? [ratioOf(own.shapes[at]?.[pick] ?? [], other.shapes[at]?.[pick] ?? [])] : [];
      }),
    );
  const busy = (inFlight: number): boolean => inFlight > 1;
  for (const [name, target] of [
    ['least, tuned', 0.8],
    ['least, plain', 0.8],
    ['supergateway', 4],
    ['mcp-proxy', 5],
    ['mcp-hub (SSE)', 2.5],
  ] as const)
    beside(name, (other) =>
      targets.push({
        what: `throughput, 16 and 64 in flight, worst row, to ${name}`,
        measured: extreme(other, 'perSecond', 'min', busy),
        relation: '≥',
        target,
      }),
    );
  for (const [name, target] of [
    ['least, tuned', 1.4],
    ['least, plain', 1.4],
    ['supergateway', 0.2],
    ['mcp-proxy', 0.2],
  ] as const)
    beside(name, (other) =>
      targets.push({
        what: `CPU a call, worst row, to ${name}`,
        measured: extreme(other, 'cpuUs', 'max'),
        relation: '≤',
        target,
      }),
    );
  for (const name of ['least, tuned', 'least, plain'])
    beside(name, (other) =>
      targets.push({
        what: `p50, one in flight, to ${name}`,
        measured: ratioOf(own.shapes[0]?.p50Ms ?? [], other.shapes[0]?.p50Ms ?? []),
        relation: '≤',
        target: 1.25,
      }),
    );
  const initialize = sampleOf(own.initializeMs).median;
  targets.push({
    what: 'next session’s initialize',
    measured: initialize,
    relation: '≤',
    target: 2,
    unit: 'ms',
  });
  return targets;
}

function memoryTargets({ memory, sessions }: Findings): Target[] {
  const mega = 1024 ** 2;
  const targets: Target[] = [];
  const own = memory.get(ours);
  const proxy = memory.get('mcp-proxy');
  if (own !== undefined) {
    const idle = own.idle.median / mega;
    targets.push({ what: 'private memory, idle', measured: idle, relation: '≤', target: 14, unit: 'MiB' });
    const loaded = own.loaded.median / mega;
    targets.push({
      what: 'private memory, after load',
      measured: loaded,
      relation: '≤',
      target: 20,
      unit: 'MiB',
    });
    if (proxy !== undefined) {
      const ratio = own.loaded.median / proxy.loaded.median;
      targets.push({
        what: 'private memory, after load, to mcp-proxy',
        measured: ratio,
        relation: '≤',
        target: 0.2,
      });
    }
  }
  const left = sessions.get(ours);
  if (left !== undefined) {
    const [first = 0] = left.afterBytes;
    const last = left.afterBytes.at(-1) ?? 0;
    const middleOne = left.afterBytes[Math.floor(left.afterBytes.length / 2)] ?? 0;
    targets.push(
      {
        what: 'clients gone: extra processes',
        measured: left.extraProcesses,
        relation: '≤',
        target: 0,
        unit: '',
      },
      {
        what: 'clients gone: private memory beyond before',
        measured: (first - left.beforeBytes) / mega,
        relation: '≤',
        target: 5,
        unit: 'MiB',
      },
      {
        what: 'clients gone: the last round beyond the middle one',
        measured: (last - middleOne) / mega,
        relation: '≤',
        target: 1,
        unit: 'MiB',
      },
    );
  }
  return targets;
}
