// `types`: the kinds of MCP server there are; admins add them and switch them on and off.
import { type Command, Option } from 'commander';
import type { McpTypeView } from '../../api/contract.ts';
import { Fault } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { parseMinutes } from '../durations.ts';
import { typeDetails, typeTable } from '../type-text.ts';
import { addTypesAdd } from './types-add.ts';

/** How long the API may take to try a server, seconds. */
const tryS = 90;

interface SetOptions {
  title?: string;
  about?: string;
  longest?: string;
  idle?: string;
  legacySse?: 'on' | 'off';
}

export function addTypes(program: Command, surroundings: Surroundings): void {
  const types = program.command('types').summary('server types: what can be asked for');
  declare(types, surroundings, {
    usage: 'ls',
    summary: 'list server types',
    handler: async (context) => {
      const { data } = await context.api.all<McpTypeView>('/mcp-types');
      return { document: data, text: typeTable(data, context) };
    },
  });
  declare(types, surroundings, {
    usage: 'show <type>',
    summary: 'show one server type',
    handler: async (context, _options, name = '') => {
      const type = await context.api.one<McpTypeView>('GET', typePath(name));
      return { document: type, text: typeDetails(type, context) };
    },
  });
  addTypesAdd(types, surroundings);
  declare(types, surroundings, {
    usage: 'try <type>',
    summary: 'start the server of a type once more, without a network, to see what it is',
    handler: async (context, _options, name = '') => {
      const ask = () => context.api.one<McpTypeView>('POST', `${typePath(name)}/trial`, { waitS: tryS });
      const type = await context.waiting('Starting its server once', ask);
      return { document: type, text: typeDetails(type, context) };
    },
  });
  declare(types, surroundings, {
    usage: 'rm <type>',
    summary: 'remove a type that was added and never used',
    handler: async (context, _options, name = '') => {
      await context.api.send('DELETE', typePath(name));
      return { document: { name, removed: true }, text: `${name} is removed.` };
    },
  });
  declare<SetOptions>(types, surroundings, {
    usage: 'set <type>',
    summary: 'change what a server type says and allows (admins)',
    options: (command) =>
      command
        .option('--title <text>', 'its title')
        .option('--about <text>', 'what it is')
        .option('--longest <duration>', 'the longest lease it gives: 8h, 1d')
        .option(
          '--idle <duration>',
          'stop an instance after so long without a request; "never" for not at all',
        )
        .addOption(new Option('--legacy-sse <state>', 'also serve the old HTTP+SSE').choices(['on', 'off'])),
    handler: set,
  });
  for (const [verb, isActive] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    declare(types, surroundings, {
      usage: `${verb} <type>`,
      summary: `switch a server type ${isActive ? 'on' : 'off; what runs goes on'}`,
      handler: async (context, _options, name = '') => {
        const body = { is_active: isActive };
        const type = await context.api.one<McpTypeView>('PATCH', typePath(name), { body });
        return { document: type, text: `${type.name} is ${type.is_active ? 'on' : 'off'}.` };
      },
    });
  }
}

function typePath(name: string): string {
  return `/mcp-types/${encodeURIComponent(name)}`;
}

async function set(context: Context, options: SetOptions, name = ''): Promise<Answer> {
  const wholeMinutes = (span: string): number => Math.ceil(parseMinutes(span));
  const { title, about, longest, idle, legacySse } = options;
  const body = {
    ...(title === undefined ? {} : { display_name: title }),
    ...(about === undefined ? {} : { description: about }),
    ...(longest === undefined ? {} : { max_duration_minutes: wholeMinutes(longest) }),
    ...(idle === undefined ? {} : { idle_minutes: idle === 'never' ? null : wholeMinutes(idle) }),
    ...(legacySse === undefined ? {} : { legacy_sse: legacySse === 'on' }),
  };
  if (Object.keys(body).length === 0) throw new Fault('malformed_request', 'say what to change');
  const type = await context.api.one<McpTypeView>('PATCH', typePath(name), { body });
  return { document: type, text: typeDetails(type, context) };
}
