// `stats`: what an instance uses as the last health check found it, what it used over a while, or, of no instance in
// particular, what each one at work uses.
import type { Command } from 'commander';
import type { InstanceView, StatsView, UsageCourseView, UsageSampleView } from '../../api/contract.ts';
import { nowMs } from '../../base/clock.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes, relative } from '../durations.ts';
import { formatBytes, pairs } from '../output.ts';
import { resolveInstance } from '../resolve.ts';
import { table } from '../table.ts';

interface StatsOptions {
  since?: string;
}

/** A list that has no pages. */
interface Whole<T> {
  readonly data: readonly T[];
  readonly meta: { readonly server_time: string };
}

/** Rows of a history: each the mean of its span. */
const historyRows = 30;

export function addStats(program: Command, surroundings: Surroundings): void {
  declare<StatsOptions>(program, surroundings, {
    usage: 'stats [id]',
    summary: 'what instances use: CPU, memory, requests',
    options: (command) =>
      command.option('--since <duration>', 'what it used from this long ago on: 10m, 24h'),
    examples: [
      ['minimcp stats', 'each instance at work'],
      ['minimcp stats scratch --since 24h', 'the course of a day'],
    ],
    handler: async (context, { since }, wish = '') => {
      if (wish === '') return allOf(context);
      const id = await resolveInstance(context.api, wish);
      return since === undefined ? nowOf(context, id) : courseOf(context, id, since);
    },
  });
}

async function nowOf({ api, paint }: Context, id: string): Promise<Answer> {
  const stats = await api.one<StatsView>('GET', `/instances/${id}/stats`);
  const lines = [
    ['cpu', cpu(stats.cpu_percent)],
    ['memory', bytes(stats.memory_bytes)],
    ['shim memory', bytes(stats.shim_memory_bytes)],
    ['processes', String(stats.processes ?? '-')],
    ['requests', `${stats.requests} in all, ${stats.in_flight} in flight`],
    ['MCP sessions', String(stats.sessions)],
    ['restarts', String(stats.restarts)],
    ['checked', stats.checked_at === null ? 'not yet' : relative(stats.checked_at, stats.server_time)],
  ] as const;
  return { document: stats, text: pairs(lines, paint) };
}

async function courseOf(context: Context, id: string, since: string): Promise<Answer> {
  const from = new Date(nowMs() - parseMinutes(since) * 60_000).toISOString();
  const { data, meta } = await context.api.send<Whole<UsageSampleView>>('GET', `/instances/${id}/usage`, {
    query: { since: from, points: historyRows },
  });
  const rows = data.map((sample) => [
    relative(sample.at, meta.server_time),
    cpu(sample.cpu_percent),
    bytes(sample.memory_bytes),
    String(sample.requests),
  ]);
  const text = table(['WHEN', 'CPU', 'MEMORY', 'REQUESTS'], rows, context);
  return { document: data, text: rows.length === 0 ? 'Nothing was measured in that time.' : text };
}

async function allOf(context: Context): Promise<Answer> {
  const [{ data: courses }, { data: instances }] = await Promise.all([
    context.api.send<Whole<UsageCourseView>>('GET', '/usage'),
    context.api.all<InstanceView>('/instances'),
  ]);
  const names = new Map(instances.map(({ id, name }) => [id, name]));
  const rows = courses.map((course) => [
    names.get(course.instance_id) ?? course.instance_id,
    cpu(course.cpu_percent.at(-1)),
    bytes(course.memory_bytes.at(-1)),
  ]);
  const none = 'Nothing is measured yet: an instance is looked at once a minute.';
  return {
    document: courses,
    text: rows.length === 0 ? none : table(['NAME', 'CPU', 'MEMORY'], rows, context),
  };
}

const cpu = (percent: number | null | undefined): string =>
  percent == null ? '-' : `${percent.toFixed(1)} %`;
const bytes = (value: number | null | undefined): string => (value == null ? '-' : formatBytes(value));
