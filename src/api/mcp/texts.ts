// Results in a few words, for clients that give their model the text and not the structure. Pure.
import type { InstanceView, InstanceWithToken, LogLineView, McpTypeView } from '../contract.ts';

interface Page<Item> {
  readonly data: readonly Item[];
  readonly meta: { readonly next_cursor: string | null; readonly server_time: string };
}

/** Characters of one log line that a model is given. */
const lineCharsMax = 1_000;

export function typesText({ data, meta }: Page<McpTypeView>): string {
  const lines = data.map((type) => {
    const needs = [
      ...(type.needs_api_key ? [`API key (${type.key_variable})`] : []),
      ...type.inputs.filter((input) => input.is_required).map((input) => `config.${input.name}`),
    ];
    const note = [
      ...(needs.length === 0 ? [] : [`needs ${needs.join(', ')}`]),
      ...(type.available ? [] : ['not installed here']),
    ];
    return `${type.name}: ${type.description ?? type.display_name}${note.length === 0 ? '' : ` (${note.join('; ')})`}`;
  });
  return listText(lines, 'No server type is switched on.', meta.next_cursor);
}

export function instanceText(instance: InstanceView): string {
  const why = instance.error_message ?? instance.stop_reason;
  return [
    `${instance.name} (${instance.mcp_type}, ${instance.id}) is ${instance.status}${why === null ? '' : `: ${why}`}`,
    `url: ${instance.access_url}`,
    `lease ends: ${instance.expires_at} (now ${instance.server_time})`,
  ].join('\n');
}

export function accessText(instance: InstanceWithToken): string {
  return `${instanceText(instance)}\naccess token, shown only here: ${instance.access_token}`;
}

export function instancesText({ data, meta }: Page<InstanceView>): string {
  const lines = data.map(
    ({ id, name, mcp_type, status, access_url, expires_at }) =>
      `${name} (${mcp_type}, ${id}): ${status}, ${access_url}, lease ends ${expires_at}`,
  );
  return listText(lines, 'There is no such instance.', meta.next_cursor);
}

export function removalText({ id, removed }: { readonly id: string; readonly removed: boolean }): string {
  return removed ? `${id} is gone.` : `${id} is ending, and will then be gone.`;
}

/** Log lines as a model gets them: long ones cut. */
export function shortened(answer: unknown): Page<LogLineView> & { data: LogLineView[] } {
  const { data, meta } = answer as Page<LogLineView>;
  const cut = (message: string): string =>
    message.length > lineCharsMax ? `${message.slice(0, lineCharsMax).toWellFormed()}…` : message;
  return { data: data.map((line) => ({ ...line, message: cut(line.message) })), meta };
}

export function linesText({ data, meta }: Page<Omit<LogLineView, 'metadata'>>): string {
  const lines = data.map(({ timestamp, level, message }) => `${timestamp} ${level} ${message}`);
  return listText(lines, 'There are no such lines.', meta.next_cursor);
}

function listText(lines: readonly string[], none: string, cursor: string | null): string {
  // A page of a search may be empty and still not be the last.
  const shown = lines.length === 0 ? [none] : lines;
  return [...shown, ...(cursor === null ? [] : [`More: cursor "${cursor}"`])].join('\n');
}
