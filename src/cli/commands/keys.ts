// `keys`: the user's secrets for upstream services. A value comes from standard input or from a variable, never from
// an argument (arguments are seen by every process of the machine and stay in the shell's history).
import type { Command } from 'commander';
import type { ApiKeyView, StoredApiKeyView } from '../../api/contract.ts';
import { nowMs } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes, relative } from '../durations.ts';
import { readSecret } from '../prompt.ts';
import { table } from '../table.ts';

interface SetOptions {
  fromEnv?: string;
  expires?: string;
  roll?: boolean;
}

/** The API waits so long for the first instance to be running again, seconds. */
const rollWaitS = 60;

export function addKeys(program: Command, surroundings: Surroundings): void {
  const keys = program.command('keys').summary('API keys for the services behind server types');
  declare(keys, surroundings, {
    usage: 'ls',
    summary: 'list your API keys; a key itself never comes back',
    handler: async (context) => {
      const { data } = await context.api.all<ApiKeyView>('/api-keys');
      return { document: data, text: data.length === 0 ? 'No API keys.' : keyTable(context, data) };
    },
  });
  declare<SetOptions>(keys, surroundings, {
    usage: 'set <type>',
    summary: 'store the API key for a server type, read from standard input',
    options: (command) =>
      command
        .option('--from-env <variable>', 'take it from this environment variable')
        .option('--expires <duration>', 'when the key stops being valid: 30d')
        .option('--roll', 'put it into your running instances of this type'),
    examples: [
      ['minimcp keys set github', 'asks for the key and does not show it'],
      ['minimcp keys set github --from-env GITHUB_TOKEN --expires 90d', 'takes it from a variable'],
      ['minimcp keys set github --roll < key.txt', 'and puts it into your running github instances'],
    ],
    handler: set,
  });
  declare(keys, surroundings, {
    usage: 'rm <type>',
    summary: 'forget the API key for a server type',
    handler: async (context, _options, type = '') => {
      await context.api.send('DELETE', keyPath(type));
      return {
        document: { mcp_type: type, removed: true },
        text: `The API key for ${type} is forgotten. What runs keeps it until it ends.`,
      };
    },
  });
}

function keyPath(type: string): string {
  return `/api-keys/${encodeURIComponent(type)}`;
}

async function set(context: Context, options: SetOptions, type = ''): Promise<Answer> {
  const apiKey =
    options.fromEnv === undefined
      ? await readSecret(context.streams, `API key for ${type} (not shown): `, context.signal)
      : fromVariable(context, options.fromEnv);
  const expiresAt =
    options.expires === undefined
      ? undefined
      : new Date(nowMs() + parseMinutes(options.expires) * 60_000).toISOString();
  const body = {
    api_key: apiKey.trim(),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(options.roll === true ? { roll: true } : {}),
  };
  const waits = options.roll === true ? { waitS: rollWaitS } : {};
  const key = await context.api.one<StoredApiKeyView>('PUT', keyPath(type), { body, ...waits });
  const stored = `The API key for ${type} is stored${key.key_hint === null ? '' : ` (…${key.key_hint})`}.`;
  return { document: key, text: [stored, ...rolled(key)].join('\n') };
}

function rolled({ roll }: StoredApiKeyView): string[] {
  if (roll === undefined) return [];
  const { moved, restarted, kept, refused } = roll;
  const list = (what: string, ids: readonly string[]): string[] =>
    ids.length === 0 ? [] : [`${what}: ${ids.join(', ')}.`];
  return [
    ...(moved.length + restarted.length + kept.length === 0 ? ['Nothing of this type is running.'] : []),
    ...list('In use, without a gap', moved),
    ...list('Restarted with it', restarted),
    ...list('Still with the old key', kept),
    ...refused.map(({ id, code, detail }) => `${id}: ${detail} (${code})`),
  ];
}

function fromVariable(context: Context, variable: string): string {
  const value = context.env[variable];
  if (value === undefined || value === '') {
    throw new Fault('malformed_request', `the environment variable ${variable} is not set, or is empty`);
  }
  return value;
}

function keyTable(context: Context, keys: readonly ApiKeyView[]): string {
  const now = new Date(nowMs()).toISOString();
  const rows = keys.map((key) => [
    key.mcp_type,
    key.key_hint === null ? '-' : `…${key.key_hint}`,
    relative(key.updated_at, now),
    relative(key.expires_at, now),
  ]);
  return table(
    ['TYPE', { title: 'KEY', yields: 2 }, { title: 'STORED', yields: 1 }, 'EXPIRES'],
    rows,
    context,
  );
}
