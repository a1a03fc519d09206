// `run`: asks for an instance, waits until it runs or has failed, and shows the URL and the access token once.
import type { Command } from 'commander';
import type { InstanceWithToken } from '../../api/contract.ts';
import { Fault } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes, relative } from '../durations.ts';
import { exitCodes } from '../exit-code.ts';
import { pairs, printable } from '../output.ts';
import { settled } from '../settle.ts';

/** How long the API is asked to hold its answer, seconds. */
const waitS = 30;

interface RunOptions {
  ttl?: string;
  name?: string;
  idle?: string;
  set?: string[];
  wait: boolean;
}

export function addRun(program: Command, surroundings: Surroundings): void {
  declare<RunOptions>(program, surroundings, {
    usage: 'run <type>',
    summary: 'ask for an instance of a server type',
    options: (command) =>
      command
        .option('--ttl <duration>', 'how long it may live: 1h, 90m, 30s, 1h30m')
        .option('--name <name>', 'its name; one is made up otherwise')
        .option(
          '--idle <duration>',
          'stop its processes after so long without a request; the next one wakes it',
        )
        .option('--set <KEY=VALUE>', 'an input of the type; may be given several times', collect)
        .option('--no-wait', 'answer at once, do not wait until it runs'),
    examples: [
      ['minimcp run everything --ttl 1h', 'for an hour, under a name that is made up'],
      ['minimcp run github --ttl 8h --idle 15m --name work', 'sleeps when it is not used, until the end'],
      ['minimcp run memory --json | jq -r .access_token', 'for scripts'],
    ],
    handler: run,
  });
}

/** For options that may be given several times. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

async function run(context: Context, options: RunOptions, type = ''): Promise<Answer> {
  const body = {
    mcp_type: type,
    ...(options.ttl === undefined ? {} : { duration_minutes: parseMinutes(options.ttl) }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.idle === undefined ? {} : { idle_minutes: parseMinutes(options.idle) }),
    ...(options.set === undefined ? {} : { config: Object.fromEntries(options.set.map(assignment)) }),
  };
  const ask = async (): Promise<InstanceWithToken> => {
    const created = await context.api.one<InstanceWithToken>('POST', '/instances', {
      body,
      ...(options.wait ? { waitS } : {}),
    });
    const now = options.wait && created.status === 'pending' ? await settled(context, created.id) : created;
    return { ...created, ...now, access_token: created.access_token };
  };
  const instance = await context.waiting(`Starting ${type}`, ask);
  return {
    document: instance,
    text: describe(context, instance),
    exitCode: instance.status === 'error' ? exitCodes.failed : exitCodes.done,
  };
}

function describe(context: Context, instance: InstanceWithToken): string {
  const { paint } = context;
  if (instance.status === 'error') {
    const why = printable(instance.error_message ?? instance.stop_reason ?? 'it says no reason').trimEnd();
    return `${paint('red', `${instance.name} could not start`)}\n${why}\n\nAll of its log: minimcp logs ${instance.name}`;
  }
  const state = instance.status === 'running' ? paint('green', 'running') : paint('yellow', instance.status);
  return [
    `${paint('bold', instance.name)} is ${state}.`,
    '',
    pairs(
      [
        ['url', instance.access_url],
        ['access token', `${instance.access_token}  (shown only now)`],
        ['lease ends', `${relative(instance.expires_at, instance.server_time)}  (${instance.expires_at})`],
      ],
      paint,
    ),
    '',
    `Put it into a client: minimcp connect ${instance.name} cursor`,
  ].join('\n');
}

function assignment(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new Fault('malformed_request', `--set takes KEY=VALUE; got "${text}"`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
