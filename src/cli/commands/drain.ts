// `drain`: has a daemon, also one on another machine, take no new work until it is started again (admins).
import type { Command } from 'commander';
import { declare, type Surroundings } from '../context.ts';

export function addDrain(program: Command, surroundings: Surroundings): void {
  declare<{ instances?: boolean }>(program, surroundings, {
    usage: 'drain',
    summary: 'take no new work until the daemon is started again; what runs goes on',
    options: (command) => command.option('--instances', 'end every instance, and then the daemon'),
    handler: async (context, options) => {
      const body = { end_instances: options.instances === true };
      const answer = await context.api.one<object>('POST', '/drain', { body });
      const what = body.end_instances ? 'It ends its instances, then itself.' : 'What runs goes on.';
      return { document: answer, text: `The daemon takes no new work. ${what}` };
    },
  });
}
