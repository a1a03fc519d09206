// `completion`: a script for the shell, which asks `minimcp __complete` at every press of the tabulator.
import { Argument, type Command } from 'commander';
import { completionScript, type Shell, shells } from '../completion-scripts.ts';
import { declare, type Surroundings } from '../context.ts';

export function addCompletion(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'completion',
    summary: 'print a script that completes commands, options and names in your shell',
    options: (command) => command.addArgument(new Argument('<shell>', 'which shell').choices(shells)),
    examples: [
      ['minimcp completion bash > ~/.local/share/bash-completion/completions/minimcp', 'bash'],
      ['minimcp completion zsh > /usr/local/share/zsh/site-functions/_minimcp', 'zsh'],
      ['minimcp completion fish > ~/.config/fish/completions/minimcp.fish', 'fish'],
    ],
    handler: (_context, _options, shell = '') => {
      const script = completionScript(shell as Shell);
      return Promise.resolve({ document: { shell, script }, text: script.trimEnd() });
    },
  });
}
