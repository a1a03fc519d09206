// `keyring`: the master keys that seal API keys (admins). Keys have ids; a key itself is never shown.
import type { Command } from 'commander';
import type { MasterKeyView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { table } from '../output.ts';

export function addKeyring(program: Command, surroundings: Surroundings): void {
  const keyring = program.command('keyring').summary('the master keys that seal API keys (admins)');
  declare(keyring, surroundings, {
    usage: 'ls',
    summary: 'list master keys; a key itself is never shown',
    handler: async (context) => {
      const { data } = await context.api.list<MasterKeyView>('/keyring');
      const rows = data.map((key) => [key.kid, key.state, String(key.sealed_keys), key.created_at]);
      return {
        document: data,
        text: table(['KEY', 'STATE', 'SEALS', 'CREATED'], rows, context.paint),
      };
    },
  });
  const act = (usage: string, summary: string, path: (kid: string) => string, said: string): void =>
    declare(keyring, surroundings, {
      usage,
      summary,
      handler: async (context, _options, kid = '') => {
        const answer = await context.api.send<{ data?: unknown } | null>(
          'POST',
          path(encodeURIComponent(kid)),
          {
            body: {},
          },
        );
        return { document: answer?.data ?? { done: true }, text: said };
      },
    });
  act(
    'add',
    'make a master key; nothing is sealed with it before "rotate"',
    () => '/keyring',
    'A key is added.',
  );
  act(
    'rotate',
    'seal with the newest key, and re-seal what is stored',
    () => '/keyring/rotate',
    'Rotation is under way.',
  );
  act(
    'retire <kid>',
    'forget a key that seals nothing any more',
    (kid) => `/keyring/${kid}/retire`,
    'It is retired.',
  );
}
