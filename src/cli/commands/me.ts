// `me`: who the API takes the caller for, and what the token that was shown allows.
import type { Command } from 'commander';
import type { MeView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { oneLine, pairs } from '../output.ts';

export function addMe(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'me',
    summary: 'who you are, and what your API token allows',
    handler: async (context) => {
      const me = await context.api.one<MeView>('GET', '/me');
      const rights = me.token.acts_as_admin ? ' (sees and does everything)' : '';
      const text = pairs(
        [
          ['e-mail', me.email],
          ['name', oneLine(me.name)],
          ['role', `${me.role}${rights}`],
          ['scopes', me.token.scopes.join(', ')],
          ['token expires', me.token.expires_at ?? 'never'],
          ['quota', `${me.effective_max_instances} instances`],
        ],
        context.paint,
      );
      return { document: me, text };
    },
  });
}
