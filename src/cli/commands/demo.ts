// `demo`: the whole life of one instance, in under a minute, on a daemon of its own. The work is loaded when asked
// for: it brings the MCP client with it.
import type { Command } from 'commander';
import { declare, type Surroundings } from '../context.ts';

export function addDemo(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'demo',
    summary: 'show the whole life of an instance, on a daemon of its own',
    handler: async (context) => {
      const { runDemo } = await import('../demo.ts');
      return runDemo(context);
    },
  });
}
