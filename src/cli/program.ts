// The command line as a whole: every command of it, in the order the help shows them.
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addBridge } from './commands/bridge.ts';
import { addChanges } from './commands/change.ts';
import { addCompletion } from './commands/completion.ts';
import { addConfig } from './commands/config.ts';
import { addConnect } from './commands/connect.ts';
import { addDaemon } from './commands/daemon.ts';
import { addDashboard } from './commands/dashboard.ts';
import { addDemo } from './commands/demo.ts';
import { addDisconnect } from './commands/disconnect.ts';
import { addDrain } from './commands/drain.ts';
import { addEvents } from './commands/events.ts';
import { addKeyring } from './commands/keyring.ts';
import { addKeys } from './commands/keys.ts';
import { addLogs } from './commands/logs.ts';
import { addLs } from './commands/ls.ts';
import { addMe } from './commands/me.ts';
import { addNodes } from './commands/nodes.ts';
import { addPorts } from './commands/ports.ts';
import { addRun } from './commands/run.ts';
import { addSettings } from './commands/settings.ts';
import { addShow } from './commands/show.ts';
import { addStats } from './commands/stats.ts';
import { addStatus } from './commands/status.ts';
import { addTokens } from './commands/tokens.ts';
import { addTools } from './commands/tools.ts';
import { addTypes } from './commands/types.ts';
import { addUsers } from './commands/users.ts';
import { complete } from './complete.ts';
import type { Surroundings } from './context.ts';
import { failureOf } from './failure.ts';
import { sentence } from './help.ts';
import { columnsOf } from './output.ts';
import { usageError } from './suggest.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

const product =
  'MiniMCP is a daemon that gives each person their own MCP server process, for a set time, behind one URL and ' +
  'one token, on a plain machine: no Docker, no Kubernetes.';

const epilogue = `
Examples:
  minimcp up                                   the daemon, in a terminal of its own
  minimcp run everything --ttl 1h --name try   an instance for an hour
  minimcp connect try cursor                   put it into a client
  minimcp ls --watch                           what there is, as it changes

ID is an instance's name, its UUID, or the beginning of it. Durations: 1h, 90m, 30s, 1h30m; a plain number is minutes.
Every command takes --json: one document on standard output, nothing else; a failure is a problem document.
Exit codes: 0 done, 1 failed, 2 wrong use, 75 try again later.
The daemon is found by MINIMCP_URL and MINIMCP_TOKEN, else by the data directory (MINIMCP_DATA_DIR). Colour is used on
terminals; NO_COLOR and FORCE_COLOR decide otherwise.`;

/**
 * Runs one command line.
 * @param args the arguments after the program's name
 * @returns the exit code; everything has been said by then
 */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { streams } = surroundings;
  // The shell asks at every press of a key: nothing is parsed, and nothing said but what can stand there.
  if (args[0] === completionWord) {
    for (const line of await complete(createProgram(surroundings), args.slice(2), surroundings)) {
      streams.out.write(`${line}\n`);
    }
    return 0;
  }
  try {
    await createProgram(surroundings).parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    const failure = failureOf(error);
    if (failure.text !== '') streams.err.write(`${failure.text}\n`);
    if (failure.problem !== undefined && args.includes('--json')) {
      streams.out.write(`${JSON.stringify(failure.problem, null, 2)}\n`);
    }
    return failure.exitCode;
  }
}

/** `minimcp __complete -- WORDS…`: what completion scripts call. */
const completionWord = '__complete';

/** Every command of it; exported for the tests that walk over them. */
export function createProgram(surroundings: Surroundings): Command {
  const { streams } = surroundings;
  const program = new Command('minimcp')
    .description(product)
    .version(version)
    .addHelpText('after', epilogue)
    .helpCommand(false)
    .showSuggestionAfterError()
    .showHelpAfterError('  See "minimcp --help".')
    .configureHelp({ subcommandTerm: termOf })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.out.write(text),
      writeErr: (text) => streams.err.write(text),
      outputError: (text, write) => write(usageError(text)),
      getOutHelpWidth: () => columnsOf(streams.out) ?? helpColumns,
      getErrHelpWidth: () => columnsOf(streams.err) ?? helpColumns,
    });
  program.optionsGroup('Options:');
  for (const [heading, ...adds] of groups) {
    program.commandsGroup(heading);
    for (const add of adds) add(program, surroundings);
  }
  for (const group of program.commands.filter((command) => command.commands.length > 0)) {
    group.description(sentence(group.summary())).helpCommand(false);
  }
  return program;
}

type Add = (program: Command, surroundings: Surroundings) => void;

/** In the order in which somebody new needs them. */
const groups: readonly (readonly [heading: string, ...adds: Add[]])[] = [
  ['The daemon of this machine:', addDaemon, addStatus, addDashboard, addDemo],
  ['Instances:', addRun, addLs, addShow, addLogs, addStats, addTools, addChanges],
  ['Clients:', addConnect, addDisconnect, addConfig, addBridge],
  ['Types and keys:', addTypes, addKeys],
  ['You:', addMe, addTokens, addCompletion],
  ['Administration:', addUsers, addEvents, addPorts, addNodes, addSettings, addDrain, addKeyring],
];

const helpColumns = 100;

/** A command with its arguments; that it has options goes without saying. */
function termOf(command: Command): string {
  const args = command.registeredArguments.map((arg) =>
    arg.required ? `<${arg.name()}>` : `[${arg.name()}]`,
  );
  return [command.name(), ...args].join(' ');
}
