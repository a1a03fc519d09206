// `types add`: brings a server type in from outside. The daemon installs it and starts its server once; what that showed
// is printed, and an admin's yes switches it on. Without a yes it stays off.
import type { Command } from 'commander';
import type { McpTypeView } from '../../api/contract.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { isTerminal } from '../output.ts';
import { confirm, readSecret } from '../prompt.ts';
import { readTypeSource } from '../type-source.ts';
import { typeDetails } from '../type-text.ts';
import { collect } from './run.ts';

/** How long the API may take to install a package and try its server, seconds. */
const waitS = 120;

interface AddOptions {
  name?: string;
  key?: string;
  arg?: string[];
  egress?: string;
  yes?: boolean;
}

export function addTypesAdd(types: Command, surroundings: Surroundings): void {
  declare<AddOptions>(types, surroundings, {
    usage: 'add <source>',
    summary: 'bring in a type from npm or a server.json, and see what it is before it is on (admins)',
    options: (command) =>
      command
        .option('--name <name>', 'its name here; made from its own otherwise')
        .option(
          '--key <VARIABLE>',
          "the variable a user's API key goes into, where its server.json does not say",
        )
        .option('--arg <argument>', 'a fixed argument; may be given several times (--arg=--stdio)', collect)
        .option('--egress <hosts>', 'what it may reach: none, open, or hosts joined by commas')
        .option('--yes', 'switch it on without asking'),
    examples: [
      ['minimcp types add npm:@modelcontextprotocol/server-memory', 'the newest version of a package'],
      [
        'minimcp types add npm:figma-developer-mcp --key FIGMA_API_KEY --arg=--stdio',
        'one that says little of itself',
      ],
      ['minimcp types add ./server.json --yes', 'one that is described, switched on at once'],
    ],
    handler: add,
  });
}

async function add(context: Context, options: AddOptions, given = ''): Promise<Answer> {
  const source = await readTypeSource(
    given,
    () => readSecret(context.streams, 'server.json, one line: ', context.signal),
    context.signal,
  );
  const body = { ...source, ...wishesOf(options) };
  const ask = async () => context.api.one<McpTypeView>('POST', '/mcp-types', { body, waitS });
  const added = await context.waiting(`Installing ${given} and starting its server once`, ask);
  if (options.yes === true) return enabled(context, added);
  if (!context.json && isTerminal(context.streams.in)) {
    context.note(`${typeDetails(added, context)}\n${remarks(added)}`);
    if (await confirm(context.streams, `Enable ${added.name}?`, context.signal))
      return enabled(context, added, '');
    return {
      document: added,
      text: `${added.name} stays off. To switch it on: minimcp types enable ${added.name}`,
    };
  }
  const text = `${typeDetails(added, context)}\n${remarks(added)}\nIt is off. To switch it on: minimcp types enable ${added.name}`;
  return { document: added, text };
}

async function enabled(context: Context, added: McpTypeView, details?: string): Promise<Answer> {
  const path = `/mcp-types/${encodeURIComponent(added.name)}`;
  const type = await context.api.one<McpTypeView>('PATCH', path, { body: { is_active: true } });
  const shown = details ?? `${typeDetails(type, context)}\n${remarks(type)}\n`;
  return { document: type, text: `${shown}${type.name} is on: minimcp run ${type.name}` };
}

function wishesOf({ name, key, arg, egress }: AddOptions): Record<string, unknown> {
  return {
    ...(name === undefined ? {} : { name }),
    ...(key === undefined ? {} : { key_variable: key }),
    ...(arg === undefined ? {} : { arguments: arg }),
    ...(egress === undefined ? {} : egressOf(egress)),
  };
}

function egressOf(text: string): Record<string, unknown> {
  if (text === 'none' || text === 'open') return { egress: text };
  return { egress: 'allow-list', egress_hosts: text.split(',').map((host) => host.trim()) };
}

/** What the reader should think of before saying yes. */
function remarks(type: McpTypeView): string {
  const found: string[] = [];
  if (type.egress === 'none' && type.needs_api_key) {
    found.push(
      'It takes a key and may reach nothing: it likely needs a network. Remove it and add it with --egress HOST,… or open.',
    );
  }
  if (type.trial?.state === 'failed') {
    found.push(
      'A server that needs a network, a real key or an argument cannot pass. What it lacks is given with --key and --arg, ' +
        `after "minimcp types rm ${type.name}".`,
    );
  }
  return found.length === 0 ? '' : `\n${found.join('\n')}\n`;
}
