// The one way benches speak: a heading with the machine and the versions, tables in Markdown, and verdicts that say
// whether a target holds. Progress goes to standard error, results to standard output.
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { nowMs } from '../../src/base/clock.ts';
import { type Sample, spreadOf } from './statistics.ts';

/** Prints what was run, where and when. */
export function printHeading(command: string, versions: Readonly<Record<string, string>>): void {
  const date = new Date(nowMs()).toISOString().slice(0, 10);
  const memory = `${Math.round(totalmem() / 1024 ** 3)} GiB`;
  const cpu = `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
  const known = Object.entries({ node: process.version, ...versions })
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
  const lines = [
    `\`${command}\` on ${date}`,
    '',
    `${cpu}, ${memory}, Linux ${release()}; load average at the start ${loadavg()[0]?.toFixed(1)}.`,
    `${known}.`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Prints a table in Markdown, columns aligned for reading as it is. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(3, ...all.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  const ruler = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  process.stdout.write(`\n${[line(header), ruler, ...rows.map(line)].join('\n')}\n`);
}

export interface Target {
  readonly what: string;
  /** What was measured: a ratio or a figure. */
  readonly measured: number;
  readonly relation: '≤' | '≥' | '<';
  readonly target: number;
  readonly unit?: string;
}

/** Prints the targets beside what was measured, and whether each holds. */
export function printTargets(targets: readonly Target[]): void {
  const rows = targets.map(({ what, measured, relation, target, unit = '×' }) => {
    const holds =
      relation === '≥' ? measured >= target : relation === '<' ? measured < target : measured <= target;
    return [
      what,
      `${relation} ${target} ${unit}`,
      `${figure(measured)} ${unit}`,
      holds ? 'holds' : 'does not hold',
    ];
  });
  printTable(['target', 'bound', 'measured', ''], rows);
}

/** Says what is going on, on standard error. */
export function progress(text: string): void {
  process.stderr.write(`… ${text}\n`);
}

/** A number with as many digits as mean something. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

/** A sample as `median ±spread%`. */
export function sampleText(sample: Sample | undefined, factor = 1): string {
  if (sample === undefined) return '–';
  const middle = figure(sample.median * factor);
  return sample.count === 1 ? middle : `${middle} ±${Math.round(spreadOf(sample) * 100)}%`;
}

/** Bytes as MiB. */
export function mib(bytes: number): string {
  return figure(bytes / 1024 ** 2);
}
