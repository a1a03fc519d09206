// `disconnect`: takes back what `connect` put into a client. A file that nobody has touched since becomes what it was,
// to the byte; one that has changed loses exactly our entry, or is refused. Needs no daemon: the instance may be gone.
import { homedir } from 'node:os';
import { Argument, type Command } from 'commander';
import { Fault } from '../../base/errors.ts';
import { type ClientName, clients } from '../../domain/client-config.ts';
import { clientFile } from '../client-files.ts';
import {
  applyUndo,
  connectionsDir,
  forget,
  planUndo,
  type Recorded,
  readConnections,
} from '../connections.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { confirm } from '../prompt.ts';
import { runClient } from '../run-client.ts';
import { didYouMean } from '../suggest.ts';

interface DisconnectOptions {
  yes?: boolean;
}

export function addDisconnect(program: Command, surroundings: Surroundings): void {
  declare<DisconnectOptions>(program, surroundings, {
    usage: 'disconnect <id>',
    summary: 'take an instance out of an MCP client again',
    options: (command) => {
      command.addArgument(new Argument('<client>', 'which client').choices(clients));
      command.option('-y, --yes', 'do not ask');
    },
    handler: disconnect,
  });
}

async function disconnect(
  context: Context,
  options: DisconnectOptions,
  wish = '',
  clientName = '',
): Promise<Answer> {
  const found = await findConnection(context, wish, clientName as ClientName);
  const { name, change } = found.connection;
  const undo = change === undefined ? undefined : await planUndo(change, found.backup);
  const command = removal(found);
  context.note(`This will ${sentence(found, undo?.untouched === true, command)}.`);
  if (options.yes !== true && !(await confirm(context.streams, 'Go ahead?', context.signal))) {
    return { document: { disconnected: false }, text: 'Nothing was changed.' };
  }
  if (change !== undefined && undo !== undefined) await applyUndo(change, undo);
  else await runClient(context, command);
  await forget(found);
  return {
    document: { disconnected: true, client: clientName, name, file: change?.file ?? null },
    text: `${clientName} no longer has ${name}. The instance goes on: minimcp stop ${name}`,
  };
}

function sentence(
  { connection: { name, change } }: Recorded,
  untouched: boolean,
  command: readonly string[],
): string {
  if (change === undefined) return `run ${command.join(' ')}`;
  if (!untouched) return `take "${name}" out of ${change.file}; it has changed since, and the rest stays`;
  return change.existed
    ? `put ${change.file} back as it was`
    : `remove ${change.file}, which was not there before`;
}

/** How the clients that are told by a command are told to forget. */
function removal({ connection: { client, name } }: Recorded): readonly string[] {
  return [client === 'gemini' ? 'gemini' : 'claude', 'mcp', 'remove', name];
}

/** The last thing done to this client under that name, in this directory rather than in another. */
async function findConnection(context: Context, wish: string, client: ClientName): Promise<Recorded> {
  const all = await readConnections(connectionsDir(context.env, homedir()));
  const ofClient = all.filter(({ connection }) => connection.client === client);
  const matching = ofClient.filter(
    ({ connection: { name, instance_id: id } }) => name === wish || id.startsWith(wish.toLowerCase()),
  );
  const file = clientFile(client, { home: homedir(), platform: process.platform, cwd: process.cwd() });
  const found = matching.find(({ connection }) => connection.change?.file === file) ?? matching[0];
  if (found !== undefined) return found;
  const names = [...new Set(ofClient.map(({ connection }) => connection.name))];
  const known = names.length === 0 ? 'nothing' : names.join(', ');
  const meant = didYouMean(wish, names);
  throw new Fault(
    'malformed_request',
    `"${wish}" was not put into ${client} from here; ${known} was${meant === undefined ? '' : `. ${meant}`}`,
  );
}
