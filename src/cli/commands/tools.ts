// `tools` and `call`: what a running instance offers, and one of it tried from the command line. Clients call tools at
// the instance's own URL; this is for a look.
import type { Command } from 'commander';
import type { ToolResultView, ToolView } from '../../api/contract.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import { type Answer, type Context, declare, type Surroundings } from '../context.ts';
import { exitCodes } from '../exit-code.ts';
import { formatBytes, oneLine, printable } from '../output.ts';
import { readSecret } from '../prompt.ts';
import { resolveInstance } from '../resolve.ts';
import { type Look, table } from '../table.ts';

interface CallOptions {
  arguments?: string;
}

/** How long a tool may take; the daemon gives up by then. */
const worksS = 60;

export function addTools(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'tools <id>',
    summary: 'list the tools of a running instance',
    handler: async (context, _options, wish = '') => {
      const id = await resolveInstance(context.api, wish);
      const { data } = await context.api.send<{ data: ToolView[] }>('GET', `/instances/${id}/tools`, {
        worksS,
      });
      return { document: data, text: toolTable(data, context) };
    },
  });
  declare<CallOptions>(program, surroundings, {
    usage: 'call <id> <tool>',
    summary: 'call a tool of a running instance',
    options: (command) =>
      command.option('--arguments <json>', 'its arguments, a JSON object; - reads standard input'),
    examples: [
      [`minimcp call try echo --arguments '{"message":"hi"}'`, 'what it answers, as text'],
      ['minimcp call try get-sum --arguments - < sum.json', 'arguments from a file'],
    ],
    handler: call,
  });
}

async function call(context: Context, options: CallOptions, wish = '', tool = ''): Promise<Answer> {
  const given =
    options.arguments === '-'
      ? await readSecret(context.streams, 'Arguments: ', context.signal)
      : options.arguments;
  const body = given === undefined ? {} : { arguments: parseArguments(given) };
  const id = await resolveInstance(context.api, wish);
  const path = `/instances/${id}/tools/${encodeURIComponent(tool)}/call`;
  const result = await context.api.one<ToolResultView>('POST', path, { body, worksS });
  return {
    document: result,
    text: resultText(result),
    exitCode: result.is_error ? exitCodes.failed : exitCodes.done,
  };
}

function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('malformed_request', `the arguments are not JSON: ${messageOf(error)}`);
  }
}

function toolTable(tools: readonly ToolView[], look: Look): string {
  const rows = tools.map(({ name, title, description, input_schema: schema }) => [
    oneLine(name),
    argumentsOf(schema),
    oneLine(description ?? title ?? ''),
  ]);
  const columns = [
    'TOOL',
    { title: 'ARGUMENTS', yields: 1, least: 12 },
    { title: 'WHAT IT DOES', yields: 2, least: 16 },
  ];
  return table(columns, rows, look);
}

/** The names of its arguments; those that may be left out in brackets. */
function argumentsOf(schema: ToolView['input_schema']): string {
  const { properties, required } = schema;
  const needed: readonly unknown[] = Array.isArray(required) ? required : [];
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  return names.map((name) => oneLine(needed.includes(name) ? name : `[${name}]`)).join(' ') || '-';
}

function resultText({ content, structured_content: structured }: ToolResultView): string {
  if (content.length === 0 && structured !== undefined) return printable(JSON.stringify(structured, null, 2));
  return content.map(blockText).join('\n');
}

/** A piece of an answer: text as it is, anything else by what it is. */
function blockText(block: ToolResultView['content'][number]): string {
  const { type, text, data, mimeType, uri, resource } = block;
  if (typeof text === 'string') return printable(text);
  if (typeof resource === 'object' && resource !== null)
    return blockText(resource as Record<string, unknown>);
  const facts = [
    type ?? 'resource',
    mimeType,
    uri,
    typeof data === 'string' ? formatBytes((data.length * 3) / 4) : undefined,
  ];
  return `[${oneLine(
    facts
      .filter((fact) => fact !== undefined)
      .map(String)
      .join(', '),
  )}]`;
}
