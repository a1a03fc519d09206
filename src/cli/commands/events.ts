// `events`: the audit trail: of everything (admins), or of one instance (its owner too).
import type { Command } from 'commander';
import type { EventView } from '../../api/contract.ts';
import { nowMs } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes, relative } from '../durations.ts';
import { wholeNumber } from '../numbers.ts';
import { oneLine } from '../output.ts';
import { resolveInstance } from '../resolve.ts';
import { type Look, table } from '../table.ts';
import { resolveUser } from './users.ts';

interface EventsOptions {
  instance?: string;
  event?: string;
  user?: string;
  since?: string;
  limit: string;
}

export function addEvents(program: Command, surroundings: Surroundings): void {
  declare<EventsOptions>(program, surroundings, {
    usage: 'events [id]',
    summary: 'what happened, newest first: of one instance, or of everything (admins)',
    options: (command) =>
      command
        .option('--instance <id>', 'the same as the argument')
        .option('--event <name>', 'only events of this name (admins)')
        .option('--user <user>', 'only events of this user (admins)')
        .option('--since <duration>', 'only from this long ago on: 10m, 1h (admins)')
        .option('-n, --limit <n>', 'at most so many', '50'),
    handler: events,
  });
}

async function events(context: Context, options: EventsOptions, argument = ''): Promise<Answer> {
  const wish = argument || options.instance;
  const { event, user, since } = options;
  if (wish !== undefined && [event, user, since].some((filter) => filter !== undefined)) {
    throw new Fault('malformed_request', '--event, --user and --since are for the events of everything');
  }
  const path =
    wish === undefined ? '/events' : `/instances/${await resolveInstance(context.api, wish)}/events`;
  const query = {
    event_type: event,
    user_id: user === undefined ? undefined : await resolveUser(context, user),
    since: since === undefined ? undefined : new Date(nowMs() - parseMinutes(since) * 60_000).toISOString(),
  };
  const limit = wholeNumber('--limit', options.limit);
  const { data, meta } = await context.api.all<EventView>(path, query, limit);
  const text = data.length === 0 ? 'No events.' : eventTable(data, meta.server_time, context);
  return { document: data, text };
}

const dataCharsMax = 160;

function eventTable(shown: readonly EventView[], serverTime: string, look: Look): string {
  const rows = shown.map((event) => [
    relative(event.created_at, serverTime),
    event.event_type,
    event.mcp_instance_id?.slice(0, 13) ?? '-',
    event.actor_id?.slice(0, 13) ?? 'daemon',
    oneLine(JSON.stringify(event.event_data)).slice(0, dataCharsMax),
  ]);
  const by = { title: 'BY', yields: 1 };
  return table(['WHEN', 'EVENT', 'INSTANCE', by, { title: 'DATA', yields: 2, least: 10 }], rows, look);
}
