// `dashboard`: a link that logs in to the page in a browser. It works once, so it is printed and not opened: whoever is
// on another machine needs it as text.
import type { Command } from 'commander';
import type { LoginLinkView } from '../../api/contract.ts';
import { declare, type Surroundings } from '../context.ts';
import { relative } from '../durations.ts';

export function addDashboard(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'dashboard',
    summary: 'a link that opens the dashboard, logged in; it works once, within ten minutes',
    handler: async (context) => {
      const link = await context.api.one<LoginLinkView>('POST', '/login-links');
      const end = relative(link.expires_at, link.server_time);
      if (!context.json) context.note(`It works once and ends ${end}.`);
      return { document: link, text: link.url };
    },
  });
}
