// `events`: the audit trail, of everything or of one instance.
import type { Command } from 'commander';
import type { EventView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { relative } from '../durations.ts';
import { wholeNumber } from '../numbers.ts';
import { oneLine, table } from '../output.ts';
import { resolveInstance } from '../resolve.ts';

interface EventsOptions {
  instance?: string;
  limit: string;
}

export function addEvents(program: Command, surroundings: Surroundings): void {
  declare<EventsOptions>(program, surroundings, {
    usage: 'events',
    summary: 'what happened: the audit trail, newest first',
    options: (command) =>
      command.option('--instance <id>', 'of one instance').option('-n, --limit <n>', 'at most so many', '50'),
    handler: async (context, options) => {
      const path =
        options.instance === undefined
          ? '/events'
          : `/instances/${await resolveInstance(context.api, options.instance)}/events`;
      const { data, meta } = await context.api.all<EventView>(
        path,
        {},
        wholeNumber('--limit', options.limit),
      );
      const rows = data.map((event) => [
        relative(event.created_at, meta.server_time),
        event.event_type,
        event.mcp_instance_id?.slice(0, 13) ?? '-',
        event.actor_id?.slice(0, 13) ?? 'daemon',
        oneLine(JSON.stringify(event.event_data)).slice(0, 160),
      ]);
      return {
        document: data,
        text: table(['WHEN', 'EVENT', 'INSTANCE', 'BY', 'DATA'], rows, context.paint),
      };
    },
  });
}
