// `connect`: puts an instance into a client, by the client's own command or by its file, after saying what it will do
// and being told to. The token is passed directly: never through a shell, so in no history; files are written 0600, and
// kept as they were until `disconnect` puts them back.
import { homedir } from 'node:os';
import { Argument, type Command } from 'commander';
import { nowMs } from '../../base/clock.ts';
import { type ClientConfig, type ClientName, clients } from '../../domain/client-config.ts';
import { clientFile, readPlan, writePlan } from '../client-files.ts';
import { backupOf, changeOf, connectionsDir, keepBackup, writeRecord } from '../connections.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { confirm } from '../prompt.ts';
import { runClient } from '../run-client.ts';
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
    examples: [
      ['minimcp connect scratch cursor', 'shows what it will write, and asks'],
      ['minimcp connect scratch claude-code --yes', "runs Claude Code's own command, without asking"],
      ['minimcp disconnect scratch cursor', 'puts back what was there'],
    ],
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
  const { config, token, id, name } = await configOf(context, wish, client, {
    ...options,
    newToken: makesToken,
  });
  const record = await keepBackup(connectionsDir(context.env, homedir()), client, name, plan);
  const after = plan === undefined ? undefined : await writePlan(plan, config);
  if (plan === undefined) await runClient(context, config.command ?? []);
  await writeRecord(record, {
    client,
    name,
    instance_id: id,
    connected_at: new Date(nowMs()).toISOString(),
    ...(plan === undefined || after === undefined ? {} : { change: changeOf(plan, config, after) }),
  });
  return done(context, config, token, {
    name,
    file: plan?.file,
    backup: plan?.exists === true ? backupOf(record) : undefined,
  });
}

interface Made {
  readonly name: string;
  readonly file: string | undefined;
  /** The file as it was, when there was one. */
  readonly backup: string | undefined;
}

function done(
  context: Context,
  config: ClientConfig,
  token: string | undefined,
  { name, file, backup }: Made,
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
  if (backup !== undefined) lines.push(context.paint('dim', `The file as it was is kept: ${backup}`));
  lines.push(context.paint('dim', `Take it out again: minimcp disconnect ${name} ${config.client}`));
  return {
    document: {
      connected: true,
      client: config.client,
      file: file ?? null,
      backup: backup ?? null,
      token_variable: config.token_variable,
      ...(carries ? {} : { access_token: token }),
    },
    text: lines.join('\n'),
  };
}
