// Who was behind an event, and all that it noted: of a change, what was before and what is now. Pure.
import type { EventView } from '../api/contract.ts';

/** By whom it was done, from where and with what. @param nameOf the words for an id: "you", an e-mail address */
export function whoOf(
  { actor_id: id, ip_address: ip, user_agent: agent }: EventView,
  nameOf: (id: string) => string,
): string {
  const who = id === null ? 'MiniMCP itself' : nameOf(id);
  return `${who}${ip ? ` from ${ip}` : ''}${agent ? ` with ${programOf(agent)}` : ''}`;
}

/** The first word of a user agent that says something: browsers all begin alike. */
function programOf(agent: string): string {
  const browser = /(Firefox|Edg|Chrome|Safari)\/\d+/.exec(agent)?.[1];
  return browser === undefined ? (agent.split(/[ /]/, 1)[0] ?? agent) : browser.replace('Edg', 'Edge');
}

/** What an event noted, by name: what was before and after where it tells of a change, one value otherwise. */
export interface Noted {
  readonly name: string;
  readonly before?: string;
  readonly value: string;
}

/** All that an event noted; of a change only what is different. */
export function notedOf({ event_data: data }: EventView): readonly Noted[] {
  const { before: _, after: __, ...rest } = data;
  const plain = Object.entries(rest).map(([name, value]) => ({ name: spaced(name), value: wordOf(value) }));
  if (data.after === undefined) return plain;
  if (typeof data.after !== 'object' || data.after === null)
    return [...plain, { name: 'value', before: wordOf(data.before), value: wordOf(data.after) }];
  const [before, after] = [partOf(data.before), partOf(data.after)];
  const isChange = data.before !== undefined;
  const changed = Object.entries(after).flatMap(([name, value]) => {
    const [was, is] = [wordOf(before[name]), wordOf(value)];
    if (!isChange) return [{ name: spaced(name), value: is }];
    return was === is ? [] : [{ name: spaced(name), before: was, value: is }];
  });
  return [...plain, ...changed];
}

const partOf = (value: unknown): EventView['event_data'] =>
  typeof value === 'object' && value !== null ? (value as EventView['event_data']) : {};
const spaced = (name: string): string => name.replaceAll('_', ' ');

function wordOf(value: unknown): string {
  if (value === null || value === undefined) return '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
