// `drain`: asks a daemon, also one on another machine, to finish what is in hand and end (admins).
import type { Command } from 'commander';
import { declare, type Surroundings } from '../context.ts';

export function addDrain(program: Command, surroundings: Surroundings): void {
  declare<{ instances?: boolean }>(program, surroundings, {
    usage: 'drain',
    summary: 'ask the daemon, also one elsewhere, to finish what is in hand and end',
    options: (command) => command.option('--instances', 'end every instance first'),
    handler: async (context, options) => {
      const body = { end_instances: options.instances === true };
      const answer = await context.api.one<object>('POST', '/drain', { body });
      const what = body.end_instances ? 'ends its instances, then itself' : 'ends; instances go on';
      return { document: answer, text: `The daemon takes no new work and ${what}.` };
    },
  });
}
