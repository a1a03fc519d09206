// `ls`: the instances one may see, with the time each has left.
import type { Command } from 'commander';
import type { InstanceView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { instanceTable } from '../instance-text.ts';

interface LsOptions {
  all?: boolean;
  status?: string;
  type?: string;
}

export function addLs(program: Command, surroundings: Surroundings): void {
  declare<LsOptions>(program, surroundings, {
    usage: 'ls',
    summary: 'list instances',
    options: (command) =>
      command
        .option('-a, --all', 'also those whose lease is over')
        .option('--status <status>', 'only those in this status')
        .option('--type <type>', 'only those of this server type'),
    handler: async (context, options) => {
      const { data } = await context.api.all<InstanceView>('/instances', {
        include_ended: options.all === true ? true : undefined,
        status: options.status,
        mcp_type: options.type,
      });
      const none = `No instances${options.all === true ? '' : ' at work'}. Ask for one: minimcp run TYPE --ttl 1h`;
      return { document: data, text: data.length === 0 ? none : instanceTable(data, context.paint) };
    },
  });
}
