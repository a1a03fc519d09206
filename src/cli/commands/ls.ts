// `ls`: the instances one may see, with the time each has left; with --watch as they change.
import { type Command, Option } from 'commander';
import type { InstanceView } from '../../api/contract.ts';
import { statuses } from '../../domain/instance.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { instanceTable } from '../instance-text.ts';
import { watchInstances } from '../watch.ts';
import { resolveUser } from './users.ts';

interface LsOptions {
  all?: boolean;
  status?: string;
  type?: string;
  user?: string;
  watch?: boolean;
}

export function addLs(program: Command, surroundings: Surroundings): void {
  declare<LsOptions>(program, surroundings, {
    usage: 'ls',
    summary: 'list instances',
    options: (command) =>
      command
        .option('-a, --all', 'also those whose lease is over')
        .addOption(new Option('--status <status>', 'only those in this status').choices(statuses))
        .option('--type <type>', 'only those of this server type')
        .option('--user <user>', 'only those of this user (admins)')
        .option('-w, --watch', 'go on showing them as they change, until Ctrl-C'),
    examples: [
      ['minimcp ls --watch', 'a table that keeps itself up to date'],
      ['minimcp ls --all --type github', 'also what is over'],
      ['minimcp ls --json | jq -r .[].access_url', 'for scripts'],
      ['minimcp ls --watch --json', 'a JSON document a line: each instance, then each change'],
    ],
    handler: ls,
  });
}

async function ls(context: Context, options: LsOptions): Promise<Answer | undefined> {
  const filter = {
    include_ended: options.all === true ? true : undefined,
    status: options.status,
    mcp_type: options.type,
    user_id: options.user === undefined ? undefined : await resolveUser(context, options.user),
  };
  if (options.watch === true) {
    await watchInstances(context, filter);
    return undefined;
  }
  const { data } = await context.api.all<InstanceView>('/instances', filter);
  return { document: data, text: data.length === 0 ? emptyText(options) : instanceTable(data, context) };
}

function emptyText(options: LsOptions): string {
  const which = options.status !== undefined || options.type !== undefined || options.user !== undefined;
  if (which) return 'No such instances. "minimcp ls --all" lists all of them.';
  return `No instances${options.all === true ? '' : ' at work'}. Ask for one: minimcp run everything --ttl 1h`;
}
