// What --help says beyond what a command says of itself. Pure, but for the command that is described.
import type { Command } from 'commander';

/** What arguments are, where a command does not say otherwise. */
const meanings: Readonly<Record<string, string>> = {
  id: 'an instance: its name, its UUID, or the beginning of that',
  type: 'a server type: "minimcp types ls" lists them',
  user: "an e-mail address, or a user's id",
  key: 'a setting: "minimcp settings get" lists them',
  kid: 'a master key: "minimcp keyring ls" lists them',
  token: 'an API token: its name, its id, or how it begins',
  tool: 'one of its tools: "minimcp tools ID" lists them',
  name: 'what it is to be called',
  email: 'their e-mail address',
  value: 'JSON, or else text',
  file: 'where the document is; - for standard input',
  source: 'npm:PACKAGE[@VERSION], a server.json, or the https:// address of one; - for standard input',
  direction: 'up (default), down, or status',
  count: 'how many to take back (default 1)',
};

/** Says of each argument what it is, where the command has not. */
export function describeArguments(command: Command): void {
  for (const argument of command.registeredArguments) {
    argument.description ||= meanings[argument.name()] ?? '';
  }
}

/** A command as it is typed: `minimcp keys set`. */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** A summary as --help begins with it. */
export function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}

/** The lines of an example each, with what they do. */
export function examplesText(examples: readonly (readonly [string, string])[]): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, about]) => `  ${line.padEnd(width)}  ${about}`);
  return ['', 'Examples:', ...lines].join('\n');
}
