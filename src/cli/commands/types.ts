// `types`: the kinds of MCP server there are; admins add them and switch them on and off.
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { McpTypeView } from '../../api/contract.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { formatSpan, parseMinutes } from '../durations.ts';
import { oneLine, type Paint, pairs } from '../output.ts';
import { readSecret } from '../prompt.ts';
import { type Look, table } from '../table.ts';

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
      return { document: type, text: typeDetails(type, context.paint) };
    },
  });
  declare(types, surroundings, {
    usage: 'add <file>',
    summary: 'add types from a server.json of the registry format; - reads standard input',
    handler: add,
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
  return { document: type, text: typeDetails(type, context.paint) };
}

async function add(context: Context, _options: object, file = ''): Promise<Answer> {
  const text =
    file === '-'
      ? await readSecret(context.streams, 'server.json, one line: ', context.signal)
      : await readFile(file, 'utf8').catch((error: unknown) => {
          throw new Fault('malformed_request', `${file} cannot be read: ${messageOf(error)}`);
        });
  const added = await context.api.one<McpTypeView | McpTypeView[]>('POST', '/mcp-types', {
    body: parseDocument(file, text),
  });
  const names = [added].flat().map((type) => type.name);
  return { document: added, text: `Added: ${names.join(', ')}` };
}

function parseDocument(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('malformed_request', `${file} is not JSON: ${messageOf(error)}`);
  }
}

function typeTable(types: readonly McpTypeView[], look: Look): string {
  const rows = types.map((type) => [
    type.name,
    stateText(type, look.paint),
    type.needs_api_key ? 'needed' : '-',
    formatSpan(type.max_duration_minutes * 60_000),
    type.version,
    oneLine(type.description ?? type.display_name),
  ]);
  const columns = [
    'TYPE',
    'STATE',
    { title: 'API KEY', yields: 1 },
    { title: 'LONGEST', yields: 3 },
    { title: 'VERSION', yields: 4 },
    { title: 'WHAT IT IS', yields: 2, least: 16 },
  ];
  return table(columns, rows, look);
}

function stateText(type: McpTypeView, paint: Paint): string {
  if (!type.is_active) return paint('dim', 'off');
  return type.available ? paint('green', 'ready') : paint('yellow', 'not installed');
}

function typeDetails(type: McpTypeView, paint: Paint): string {
  const inputs = type.inputs.map((input) => {
    const marks = [input.is_required ? 'required' : 'optional', ...(input.is_secret ? ['secret'] : [])];
    return `${input.name} (${marks.join(', ')})${input.description === undefined ? '' : `: ${oneLine(input.description)}`}`;
  });
  return pairs(
    [
      ['type', type.name],
      ['title', oneLine(type.display_name)],
      ['about', type.description === null ? null : oneLine(type.description)],
      ['state', stateText(type, paint)],
      ['package', `${type.package}@${type.version}`],
      ['transport', `${type.transport}, era ${type.era}`],
      ['api key', type.needs_api_key ? `needed, as ${type.key_variable}` : 'none'],
      ['longest lease', formatSpan(type.max_duration_minutes * 60_000)],
      ['idle stop', type.idle_minutes === null ? null : `after ${formatSpan(type.idle_minutes * 60_000)}`],
      ['egress', type.egress],
      ['inputs', inputs.length === 0 ? null : inputs.join('; ')],
      [
        'limits',
        Object.keys(type.resource_limits).length === 0 ? null : JSON.stringify(type.resource_limits),
      ],
      ['origin', type.origin],
    ],
    paint,
  );
}
