// `stats`: what an instance uses, as the last health check found it.
import type { Command } from 'commander';
import type { StatsView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { relative } from '../durations.ts';
import { formatBytes, pairs } from '../output.ts';
import { resolveInstance } from '../resolve.ts';

export function addStats(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'stats <id>',
    summary: 'what an instance uses: CPU, memory, requests',
    handler: async (context, _options, wish = '') => {
      const id = await resolveInstance(context.api, wish);
      const stats = await context.api.one<StatsView>('GET', `/instances/${id}/stats`);
      const bytes = (value: number | null): string | null => (value === null ? null : formatBytes(value));
      const text = pairs(
        [
          ['cpu', stats.cpu_percent === null ? null : `${stats.cpu_percent.toFixed(1)} %`],
          ['memory', bytes(stats.memory_bytes)],
          ['shim memory', bytes(stats.shim_memory_bytes)],
          ['processes', stats.processes === null ? null : String(stats.processes)],
          ['requests', `${stats.requests} in all, ${stats.in_flight} in flight`],
          ['MCP sessions', String(stats.sessions)],
          ['restarts', String(stats.restarts)],
          ['checked', stats.checked_at === null ? 'not yet' : relative(stats.checked_at, stats.server_time)],
        ],
        context.paint,
      );
      return { document: stats, text };
    },
  });
}
