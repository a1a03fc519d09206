// The command line as a whole: every command of it, in the order the help shows them.
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addChanges } from './commands/change.ts';
import { addConfig } from './commands/config.ts';
import { addConnect } from './commands/connect.ts';
import { addDaemon } from './commands/daemon.ts';
import { addDemo } from './commands/demo.ts';
import { addDrain } from './commands/drain.ts';
import { addEvents } from './commands/events.ts';
import { addKeyring } from './commands/keyring.ts';
import { addKeys } from './commands/keys.ts';
import { addLogs } from './commands/logs.ts';
import { addLs } from './commands/ls.ts';
import { addPorts } from './commands/ports.ts';
import { addRun } from './commands/run.ts';
import { addSettings } from './commands/settings.ts';
import { addShow } from './commands/show.ts';
import { addTokens } from './commands/tokens.ts';
import { addTypes } from './commands/types.ts';
import { addUsers } from './commands/users.ts';
import type { Surroundings } from './context.ts';
import { failureOf } from './failure.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

const sentence =
  'MiniMCP is a daemon that gives each person their own MCP server process, for a set time, behind one URL and ' +
  'one token, on a plain machine: no Docker, no Kubernetes.';

const epilogue = `
ID is a UUID, an unambiguous prefix of one, or the instance's name. Durations: 1h, 90m, 30s, 1h30m; plain numbers are
minutes. Exit codes: 0 done, 1 failed, 2 wrong use, 75 try again. With --json a failure is a problem document.
The daemon is found by MINIMCP_URL and MINIMCP_TOKEN, else by the data directory (MINIMCP_DATA_DIR).`;

/**
 * Runs one command line.
 * @param args the arguments after the program's name
 * @returns the exit code; everything has been said by then
 */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { streams } = surroundings;
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

function createProgram(surroundings: Surroundings): Command {
  const { streams } = surroundings;
  const program = new Command('minimcp')
    .description(sentence)
    .version(version)
    .addHelpText('after', epilogue)
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.out.write(text),
      writeErr: (text) => streams.err.write(text),
    });
  addDaemon(program, surroundings);
  addDemo(program, surroundings);
  addRun(program, surroundings);
  addLs(program, surroundings);
  addShow(program, surroundings);
  addLogs(program, surroundings);
  addChanges(program, surroundings);
  addConfig(program, surroundings);
  addConnect(program, surroundings);
  addTypes(program, surroundings);
  addKeys(program, surroundings);
  addUsers(program, surroundings);
  addTokens(program, surroundings);
  addPorts(program, surroundings);
  addEvents(program, surroundings);
  addSettings(program, surroundings);
  addDrain(program, surroundings);
  addKeyring(program, surroundings);
  return program;
}
