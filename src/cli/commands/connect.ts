// `connect`: puts an instance into a client, by the client's own command or by its file, after saying what it will do
// and being told to. The token is passed directly: never through a shell, so in no history; files are written 0600.
import { spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { Argument, type Command } from 'commander';
import { Fault, messageOf } from '../../base/errors.ts';
import { type ClientConfig, type ClientName, clients } from '../../domain/client-config.ts';
import { clientFile, readPlan, writePlan } from '../client-files.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { confirm } from '../prompt.ts';
import { addTokenOptions, configOf, configText, type TokenOptions } from './config.ts';

interface ConnectOptions extends TokenOptions {
  yes?: boolean;
}

export function addConnect(program: Command, surroundings: Surroundings): void {
  declare<ConnectOptions>(program, surroundings, {
    usage: 'connect <id>',
    summary: 'put an instance into an MCP client',
    options: (command) => {
      command.addArgument(new Argument('<client>', 'which client').choices(clients));
      addTokenOptions(command);
      command.option('-y, --yes', 'do not ask');
    },
    handler: connect,
  });
}

async function connect(
  context: Context,
  options: ConnectOptions,
  wish = '',
  clientName = '',
): Promise<Answer | undefined> {
  const client = clientName as ClientName;
  // First with a placeholder: nothing is changed, and no token made, before the answer is yes.
  const preview = await configOf(context, wish, client, {});
  const file = clientFile(client, { home: homedir(), platform: process.platform, cwd: process.cwd() });
  if (file === undefined && preview.config.command === null) {
    throw new Fault(
      'malformed_request',
      `${preview.config.title} keeps its settings where only it can write: paste what ` +
        `"minimcp config ${wish} --client ${client}" prints`,
    );
  }
  const plan = file === undefined ? undefined : await readPlan(file, preview.config);
  const [program] = preview.config.command ?? [];
  // Before a token is made for it: whether it is there at all.
  if (plan === undefined && program !== undefined) await runClient(context, [program, '--version']);
  context.note(configText({ ...preview.config, link: null, notes: [] }, (_format, text) => text));
  const makesToken = options.tokenFromEnv === undefined;
  const steps = [
    ...(makesToken ? ['make a new access token (clients that hold the old one are shut out)'] : []),
    plan === undefined
      ? `run ${preview.config.command?.[0]}`
      : `${plan.exists ? 'change' : 'write'} ${plan.file}`,
  ];
  context.note(`\nThis will ${steps.join(' and ')}.`);
  if (options.yes !== true && !(await confirm(context.streams, 'Go ahead?', context.signal))) {
    return { document: { connected: false }, text: 'Nothing was changed.' };
  }
  const { config, token } = await configOf(context, wish, client, {
    ...options,
    newToken: makesToken,
  });
  if (plan !== undefined) await writePlan(plan, config);
  else await runClient(context, config.command ?? []);
  return done(context, config, token, plan?.file);
}

function done(
  context: Context,
  config: ClientConfig,
  token: string | undefined,
  file: string | undefined,
): Answer {
  const where = file ?? config.command?.[0] ?? config.where;
  // No link was shown.
  const notes = config.notes.filter((note) => !note.startsWith('The link '));
  const lines = [
    `${config.title} has it now (${where}).`,
    ...notes.map((note) => context.paint('dim', note)),
  ];
  const carries = token !== undefined && config.content.includes(token);
  if (!carries && token !== undefined) lines.push(`access token: ${token}  (shown only now)`);
  return {
    document: {
      connected: true,
      client: config.client,
      file: file ?? null,
      token_variable: config.token_variable,
      ...(carries ? {} : { access_token: token }),
    },
    text: lines.join('\n'),
  };
}

async function runClient(context: Context, command: readonly string[]): Promise<void> {
  const [program = '', ...args] = command;
  const code = await new Promise<number>((resolve, reject) => {
    // Its words go to standard error: standard output is for the answer.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], signal: context.signal });
    child.stdout.on('data', (chunk: Buffer) => context.streams.err.write(chunk));
    child.once('error', (error) =>
      reject(new Fault('internal', `${program} cannot be run: ${messageOf(error)}`)),
    );
    child.once('close', (exitCode) => resolve(exitCode ?? 1));
  });
  if (code !== 0) throw new Fault('internal', `${program} ended with exit code ${code}`);
}
