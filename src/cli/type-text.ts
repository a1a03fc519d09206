// What people read about a server type. Everything a stranger wrote is shown on one line, without control characters.
import type { McpTypeView } from '../api/contract.ts';
import { formatSpan } from './durations.ts';
import { oneLine, type Paint, pairs, printable } from './output.ts';
import { type Look, table } from './table.ts';

const toolsShown = 25;

export function typeTable(types: readonly McpTypeView[], look: Look): string {
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

/** Everything about a type, with what its trial showed. */
export function typeDetails(type: McpTypeView, look: Look): string {
  const { paint } = look;
  const facts = pairs(
    [
      ['type', type.name],
      ['title', oneLine(type.display_name)],
      ['about', type.description === null ? null : oneLine(type.description)],
      ['state', stateText(type, paint)],
      ['package', `${type.package}@${type.version}`],
      ['source', type.source === null ? null : oneLine(type.source)],
      ['integrity', type.integrity],
      ['license', type.license === null ? null : oneLine(type.license)],
      ['transport', `${type.transport}, era ${type.era}`],
      ['api key', type.needs_api_key ? `needed, as ${type.key_variable}` : 'none'],
      ['longest lease', formatSpan(type.max_duration_minutes * 60_000)],
      ['idle stop', type.idle_minutes === null ? null : `after ${formatSpan(type.idle_minutes * 60_000)}`],
      ['egress', egressText(type)],
      ['reads', type.read_only_paths.length === 0 ? null : oneLine(type.read_only_paths.join(', '))],
      ['inputs', inputsText(type)],
      [
        'limits',
        Object.keys(type.resource_limits).length === 0 ? null : JSON.stringify(type.resource_limits),
      ],
      ['origin', type.origin],
      ['trial', type.trial === null ? null : trialText(type.trial, paint)],
    ],
    paint,
  );
  return [facts, ...moreOf(type, look)].join('\n');
}

function egressText({ egress, egress_hosts: hosts }: McpTypeView): string {
  return egress === 'allow-list' ? `${egress}: ${hosts.join(', ')}` : egress;
}

function inputsText({ inputs }: McpTypeView): string | null {
  const texts = inputs.map((input) => {
    const marks = [input.is_required ? 'required' : 'optional', ...(input.is_secret ? ['secret'] : [])];
    const about = input.description === undefined ? '' : `: ${oneLine(input.description)}`;
    return `${oneLine(input.name)} (${marks.join(', ')})${about}`;
  });
  return texts.length === 0 ? null : texts.join('; ');
}

type Trial = NonNullable<McpTypeView['trial']>;

function trialText(trial: Trial, paint: Paint): string {
  const where = trial.isolation === null ? '' : ` in isolation ${trial.isolation}, without a network`;
  switch (trial.state) {
    case 'waiting':
      return paint('yellow', 'its server is being started once');
    case 'skipped':
      return `${paint('yellow', 'not started')}: ${oneLine(trial.problem ?? '')}`;
    case 'failed':
      return `${paint('red', 'failed')}${where}: ${oneLine(trial.problem ?? '')}`;
    case 'passed': {
      const { server } = trial;
      const who = server === null ? '' : `: ${oneLine(`${server.name} ${server.version}`)}`;
      const took = trial.duration_ms === null ? '' : ` after ${(trial.duration_ms / 1_000).toFixed(1)} s`;
      const speaks = trial.protocol_version === null ? '' : `, MCP ${oneLine(trial.protocol_version)}`;
      return `${paint('green', 'passed')}${where}${took}${who}${speaks}`;
    }
  }
}

/** The tools, or the last words, and what may be meant by them. */
function moreOf(type: McpTypeView, look: Look): string[] {
  const { trial } = type;
  if (trial === null) return [];
  const lines = trial.last_lines.map((line) => `  ${printable(line)}`);
  const words = lines.length === 0 ? [] : ['', look.paint('dim', 'its last words'), ...lines];
  if (trial.state !== 'passed') return words;
  const rows = trial.tools
    .slice(0, toolsShown)
    .map((tool) => [
      oneLine(tool.name),
      hintText(tool.annotations),
      shortened(tool.description ?? tool.title ?? ''),
    ]);
  const columns = ['TOOL', { title: 'SAYS IT', yields: 2 }, { title: 'WHAT IT DOES', yields: 1, least: 16 }];
  const left = trial.tools_total - rows.length;
  return [
    '',
    rows.length === 0 ? 'It offers no tools.' : table(columns, rows, look),
    ...(left > 0 ? [`and ${left} more: --json has what is known of them`] : []),
  ];
}

/** What a server says of its tool, which is no proof. */
function hintText(hints: Readonly<Record<string, boolean>>): string {
  if (hints.readOnlyHint === true) return 'reads';
  if (hints.destructiveHint === true) return 'destroys';
  return hints.readOnlyHint === false ? 'writes' : '-';
}

function shortened(text: string): string {
  const line = oneLine(text);
  return line.length <= 80 ? line : `${line.slice(0, 79)}…`;
}
