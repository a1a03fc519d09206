// `tokens`: API tokens, with which scripts, other machines and other users reach this API.
import { type Command, Option } from 'commander';
import type { ApiTokenView } from '../../api/contract.ts';
import { nowMs } from '../../base/clock.ts';
import { type Scope, scopes } from '../../domain/scopes.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes, relative } from '../durations.ts';
import { wholeNumber } from '../numbers.ts';
import { oneLine, pairs } from '../output.ts';
import { pick } from '../resolve.ts';
import { table } from '../table.ts';
import { collect } from './run.ts';
import { resolveUser } from './users.ts';

interface AddOptions {
  scope?: Scope[];
  ttl?: string;
  user?: string;
  from?: string[];
  perMinute?: string;
}

export function addTokens(program: Command, surroundings: Surroundings): void {
  const tokens = program.command('tokens').summary('API tokens');
  declare(tokens, surroundings, {
    usage: 'ls',
    summary: 'list your API tokens; a token itself never comes back',
    handler: async (context) => {
      const { data } = await context.api.all<ApiTokenView>('/tokens');
      return { document: data, text: tokenTable(context, data) };
    },
  });
  declare<AddOptions>(tokens, surroundings, {
    usage: 'add <name>',
    summary: 'make an API token',
    options: (command) =>
      command
        .addOption(
          new Option('--scope <scope...>', 'what it may do; everything you may, otherwise').choices(scopes),
        )
        .option('--ttl <duration>', 'how long it is valid: 30d')
        .option('--user <user>', 'whose token it is (admins)')
        .option('--from <cidr>', 'only from these addresses; may be given several times', collect)
        .option('--per-minute <n>', 'at most so many requests a minute'),
    handler: add,
  });
  declare(tokens, surroundings, {
    usage: 'rm <token>',
    summary: 'revoke an API token, by name or id',
    handler: async (context, _options, wish = '') => {
      const { data } = await context.api.all<ApiTokenView>('/tokens');
      const id = pick(wish, data, {
        what: 'token',
        names: (token) => [token.name, token.prefix],
        describe: (token) => `${token.id}  ${token.name}`,
      });
      await context.api.send('DELETE', `/tokens/${id}`);
      return { document: { id, removed: true }, text: `The token ${wish} is revoked.` };
    },
  });
}

async function add(context: Context, options: AddOptions, name = ''): Promise<Answer> {
  const body = {
    name,
    ...(options.scope === undefined ? {} : { scopes: options.scope }),
    ...(options.ttl === undefined
      ? {}
      : { expires_at: new Date(nowMs() + parseMinutes(options.ttl) * 60_000).toISOString() }),
    ...(options.user === undefined ? {} : { user_id: await resolveUser(context, options.user) }),
    ...(options.from === undefined ? {} : { allowed_cidrs: options.from }),
    ...(options.perMinute === undefined
      ? {}
      : { rate_limit_per_minute: wholeNumber('--per-minute', options.perMinute) }),
  };
  const token = await context.api.one<ApiTokenView & { api_token: string }>('POST', '/tokens', { body });
  const text = pairs(
    [
      ['name', token.name],
      ['api token', `${token.api_token}  (shown only now)`],
      ['scopes', token.scopes.join(', ')],
      ['expires', token.expires_at],
    ],
    context.paint,
  );
  return { document: token, text };
}

function tokenTable(context: Context, tokens: readonly ApiTokenView[]): string {
  const now = new Date(nowMs()).toISOString();
  const rows = tokens.map((token) => [
    oneLine(token.name),
    token.id.slice(0, 13),
    token.prefix,
    token.scopes.join(','),
    relative(token.last_used_at, now),
    relative(token.expires_at, now),
  ]);
  return table(
    [
      { title: 'NAME', yields: 1, least: 12 },
      'ID',
      { title: 'TOKEN', yields: 2 },
      { title: 'SCOPES', yields: 3, least: 10 },
      'LAST USED',
      'EXPIRES',
    ],
    rows,
    context,
  );
}
