// The commands that change the life of an instance: stop, restart, restore, renew, extend, rm, token. Each asks the
// API, waits until the instance has come to rest, and says what is then true.
import type { Command } from 'commander';
import type { InstanceView, InstanceWithToken } from '../../api/contract.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes } from '../durations.ts';
import { exitCodes } from '../exit-code.ts';
import { instanceLine } from '../instance-text.ts';
import { pairs, printable } from '../output.ts';
import { resolveInstance } from '../resolve.ts';
import { settled } from '../settle.ts';

interface TtlOptions {
  ttl?: string;
}

const launchWaitS = 30;

export function addChanges(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'stop <id>',
    summary: 'end its processes, keep its lease',
    handler: (context, _options, wish = '') => change(context, wish, 'stop'),
  });
  declare(program, surroundings, {
    usage: 'restart <id>',
    summary: 'end its processes and start them again',
    handler: (context, _options, wish = '') => change(context, wish, 'restart', undefined, launchWaitS),
  });
  declare(program, surroundings, {
    usage: 'restore <id>',
    summary: 'start again what is not running, within its lease',
    handler: (context, _options, wish = '') => change(context, wish, 'restore', undefined, launchWaitS),
  });
  declare<TtlOptions>(program, surroundings, {
    usage: 'renew <id>',
    summary: 'a new lease on the same instance and URL, once the old one is over',
    options: (command) => command.option('--ttl <duration>', 'how long it may live: 1h, 90m, 30s'),
    handler: (context, options, wish = '') => change(context, wish, 'renew', options.ttl, launchWaitS),
  });
  declare<TtlOptions>(program, surroundings, {
    usage: 'extend <id>',
    summary: 'move the end of its lease',
    options: (command) =>
      command.requiredOption('--ttl <duration>', 'how long it may live from now: 1h, 90m, 30s'),
    handler: (context, options, wish = '') => change(context, wish, 'extend', options.ttl),
  });
  declare(program, surroundings, {
    usage: 'rm <id>',
    summary: 'end it and remove it',
    handler: remove,
  });
  declare(program, surroundings, {
    usage: 'token <id>',
    summary: 'a new access token; the old one stops working at once',
    handler: token,
  });
}

type Action = 'stop' | 'restart' | 'restore' | 'renew' | 'extend';

async function change(
  context: Context,
  wish: string,
  action: Action,
  ttl?: string,
  waitS?: number,
): Promise<Answer> {
  const body = ttl === undefined ? {} : { duration_minutes: parseMinutes(ttl) };
  const id = await resolveInstance(context.api, wish);
  const ask = async (): Promise<InstanceView> => {
    const asked = await context.api.one<InstanceView>('POST', `/instances/${id}/${action}`, {
      body,
      ...(waitS === undefined ? {} : { waitS }),
    });
    return action === 'extend' ? asked : ((await settled(context, id)) ?? asked);
  };
  const instance = await context.waiting(`Waiting until ${wish} has come to rest`, ask);
  const lines = [instanceLine(instance, context.paint)];
  if (instance.error_message !== null) lines.push(printable(instance.error_message).trimEnd());
  const failed = waitS !== undefined && instance.status === 'error';
  return {
    document: instance,
    text: lines.join('\n'),
    exitCode: failed ? exitCodes.failed : exitCodes.done,
  };
}

async function remove(context: Context, _options: object, wish = ''): Promise<Answer> {
  const id = await resolveInstance(context.api, wish);
  await context.api.send('DELETE', `/instances/${id}`);
  const left = await context.waiting(`Waiting until ${wish} is gone`, () => settled(context, id));
  if (left === undefined) return { document: { id, removed: true }, text: `${wish} is removed.` };
  return {
    document: { id, removed: false, status: left.status },
    text: `${wish} is still ${left.status}; it is removed when its processes are gone.`,
    exitCode: exitCodes.tryAgain,
  };
}

async function token(context: Context, _options: object, wish = ''): Promise<Answer> {
  const id = await resolveInstance(context.api, wish);
  const instance = await context.api.one<InstanceWithToken>('POST', `/instances/${id}/token`, { body: {} });
  const text = pairs(
    [
      ['url', instance.access_url],
      ['access token', `${instance.access_token}  (shown only now; the old one no longer works)`],
    ],
    context.paint,
  );
  return { document: instance, text };
}
