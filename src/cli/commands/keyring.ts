// `keyring`: the master keys that seal API keys (admins). Keys have ids; a key itself is never shown.
import type { Command } from 'commander';
import type { MasterKeyView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { exitCodes } from '../exit-code.ts';
import { table } from '../table.ts';

export function addKeyring(program: Command, surroundings: Surroundings): void {
  const keyring = program.command('keyring').summary('the master keys that seal API keys (admins)');
  declare(keyring, surroundings, {
    usage: 'ls',
    summary: 'list master keys; a key itself is never shown',
    handler: async (context) => {
      const { data } = await context.api.all<MasterKeyView>('/keyring');
      const rows = data.map((key) => [key.key_id, key.state, String(key.sealed_keys), key.created_at]);
      return {
        document: data,
        text: table(
          ['KEY', 'STATE', { title: 'SEALS', yields: 1 }, { title: 'CREATED', yields: 2 }],
          rows,
          context,
        ),
      };
    },
  });
  declare(keyring, surroundings, {
    usage: 'add',
    summary: 'make a master key; it seals what is stored from now on',
    handler: async (context) => {
      const key = await context.api.one<{ key_id: string }>('POST', '/keyring', { body: {} });
      return { document: key, text: `Key ${key.key_id} is made, and seals from now on.` };
    },
  });
  declare(keyring, surroundings, {
    usage: 'rotate',
    summary: 'seal every API key again under the newest master key',
    handler: async (context) => {
      const body = {};
      const done = await context.api.one<{ moved: number; failed: number }>('POST', '/keyring/rotate', {
        body,
      });
      const text = `${done.moved} API keys are sealed again, ${done.failed} could not be.`;
      return { document: done, text, exitCode: done.failed === 0 ? exitCodes.done : exitCodes.failed };
    },
  });
  declare(keyring, surroundings, {
    usage: 'retire <kid>',
    summary: 'take a master key out for good, once nothing is sealed under it',
    handler: async (context, _options, kid = '') => {
      await context.api.send('POST', `/keyring/${encodeURIComponent(kid)}/retire`, { body: {} });
      return { document: { key_id: kid, retired: true }, text: `Key ${kid} is retired.` };
    },
  });
}
