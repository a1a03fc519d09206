// `users`: for admins, who may use this daemon and how much.
import { type Command, Option } from 'commander';
import type { UserView } from '../../api/contract.ts';
import { Fault } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { oneLine, pairs } from '../output.ts';
import { confirm } from '../prompt.ts';
import { pick } from '../resolve.ts';
import { type Look, table } from '../table.ts';
import { writeAll } from '../write-all.ts';

interface UserOptions {
  name?: string;
  role?: 'user' | 'admin';
  maxInstances?: string;
}

export function addUsers(program: Command, surroundings: Surroundings): void {
  const users = program.command('users').summary('who may use this daemon (admins)');
  const describe = (command: Command): Command =>
    command
      .option('--name <name>', 'how they are called')
      .addOption(new Option('--role <role>', 'what they may do').choices(['user', 'admin']))
      .option('--max-instances <n>', 'their quota; "default" for the setting');
  declare(users, surroundings, {
    usage: 'ls',
    summary: 'list users',
    handler: async (context) => {
      const { data } = await context.api.all<UserView>('/users');
      return { document: data, text: userTable(data, context) };
    },
  });
  declare(users, surroundings, {
    usage: 'show <user>',
    summary: 'show one user',
    handler: async (context, _options, wish = '') => {
      const id = await resolveUser(context, wish);
      const user = await context.api.one<UserView>('GET', `/users/${id}`);
      return { document: user, text: userDetails(user, context) };
    },
  });
  declare<UserOptions>(users, surroundings, {
    usage: 'add <email>',
    summary: 'add a user; then "tokens add NAME --user EMAIL" gives them a token',
    options: describe,
    handler: async (context, options, email = '') => {
      const body = { email, name: options.name ?? email, ...changes(options) };
      const user = await context.api.one<UserView>('POST', '/users', { body });
      return { document: user, text: `${user.email} is added (${user.role}).` };
    },
  });
  declare<UserOptions>(users, surroundings, {
    usage: 'set <user>',
    summary: 'change a user',
    options: describe,
    handler: (context, options, wish = '') =>
      patch(context, wish, {
        ...(options.name === undefined ? {} : { name: options.name }),
        ...changes(options),
      }),
  });
  declare(users, surroundings, {
    usage: 'disable <user>',
    summary: 'lock a user out and end their instances',
    handler: (context, _options, wish = '') => patch(context, wish, { disabled: true }),
  });
  declare(users, surroundings, {
    usage: 'enable <user>',
    summary: 'let a user in again',
    handler: (context, _options, wish = '') => patch(context, wish, { disabled: false }),
  });
  addPersonalData(users, surroundings);
}

function addPersonalData(users: Command, surroundings: Surroundings): void {
  declare(users, surroundings, {
    usage: 'export [user]',
    summary: 'everything held about a user, or you, on standard output: one JSON document a line, no secrets',
    handler: async (context, _options, wish = '') => {
      const path = wish === '' ? '/me/export' : `/users/${await resolveUser(context, wish)}/export`;
      await writeAll(context, path);
      return undefined;
    },
  });
  declare<{ yes?: boolean }>(users, surroundings, {
    usage: 'erase <user>',
    summary: 'forget a user: instances, keys, tokens and logs; the audit trail stays without them',
    options: (command) => command.option('-y, --yes', 'do not ask'),
    handler: erase,
  });
}

async function erase(context: Context, options: { yes?: boolean }, wish: string): Promise<Answer> {
  const id = await resolveUser(context, wish);
  const question = `Forget ${wish} for good, with everything that is theirs?`;
  if (options.yes !== true && !(await confirm(context.streams, question, context.signal))) {
    return { document: { id, erased: false }, text: 'Nothing was erased.', exitCode: 1 };
  }
  const left = await context.api.send<unknown>('DELETE', `/users/${id}`);
  return left === null
    ? { document: { id, erased: true }, text: `${wish} is erased.` }
    : {
        document: { id, erased: false },
        text: `${wish} is locked out; what runs is ending, the rest follows.`,
      };
}

/** The id of the user with this e-mail address, id, or unambiguous prefix of an id. */
export async function resolveUser(context: Context, wish: string): Promise<string> {
  const { data } = await context.api.all<UserView>('/users');
  return pick(wish, data, {
    what: 'user',
    names: (user) => [user.email],
    describe: (user) => `${user.id}  ${user.email}`,
  });
}

async function patch(context: Context, wish: string, body: Record<string, unknown>): Promise<Answer> {
  if (Object.keys(body).length === 0) throw new Fault('malformed_request', 'say what to change');
  const id = await resolveUser(context, wish);
  const user = await context.api.one<UserView>('PATCH', `/users/${id}`, { body });
  return { document: user, text: userDetails(user, context) };
}

function changes(options: UserOptions): Record<string, unknown> {
  return {
    ...(options.role === undefined ? {} : { role: options.role }),
    ...(options.maxInstances === undefined ? {} : { max_instances: quota(options.maxInstances) }),
  };
}

function quota(text: string): number | null {
  if (text === 'default') return null;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new Fault('malformed_request', `--max-instances takes a whole number or "default"; got "${text}"`);
}

function userTable(users: readonly UserView[], look: Look): string {
  const rows = users.map((user) => [
    user.email,
    user.id.slice(0, 13),
    oneLine(user.name),
    user.role,
    user.max_instances === null ? 'default' : String(user.max_instances),
    stateText(user, look),
  ]);
  const name = { title: 'NAME', yields: 2, least: 8 };
  return table(
    ['E-MAIL', { title: 'ID', yields: 3 }, name, 'ROLE', { title: 'QUOTA', yields: 1 }, 'STATE'],
    rows,
    look,
  );
}

function stateText(user: UserView, { paint }: Look): string {
  return user.disabled_at === null ? paint('green', 'active') : paint('red', 'disabled');
}

function userDetails(user: UserView, look: Look): string {
  return pairs(
    [
      ['e-mail', user.email],
      ['id', user.id],
      ['name', oneLine(user.name)],
      ['role', user.role],
      ['quota', user.max_instances === null ? 'as the settings say' : `${user.max_instances} instances`],
      ['state', stateText(user, look)],
      ['added', user.created_at],
    ],
    look.paint,
  );
}
