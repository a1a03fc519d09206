// The text of a client's configuration with our entry put in, and with exactly our entry taken out again. Pure. Refuses
// what it cannot read, and to take apart what is not ours: JSON is parsed and written anew, TOML and YAML only gain or
// lose the lines of the entry.
import { isDeepStrictEqual } from 'node:util';
import { Fault, messageOf } from '../base/errors.ts';
import type { ClientConfig } from '../domain/client-config.ts';
import { byHand, notOurs, withoutBlock, withoutYaml, withToml, withYaml } from './client-lines.ts';

/** What was put into a file, as far as taking it out needs to know. */
export type Entry = Pick<ClientConfig, 'format' | 'content' | 'document'>;

/** @throws Fault illegal_in_status when `text` cannot be read, or has an entry of that name that is not ours to replace */
export function withEntry(file: string, text: string, entry: Entry): string {
  if (entry.format === 'yaml') return withYaml(file, text, entry.content);
  if (entry.format === 'toml') return withToml(file, text, entry.content);
  return json(merge(parseObject(file, text), entry.document ?? {}));
}

/**
 * @param before the file as it was before our entry: what had its name then comes back
 * @throws Fault illegal_in_status when our entry is not there any more as it was put in
 */
export function withoutEntry(file: string, text: string, entry: Entry, before: string): string {
  if (entry.format === 'yaml') return withoutYaml(file, text, entry.content);
  if (entry.format === 'toml') return withoutBlock(file, text, `${entry.content}\n`);
  return json(unmerge(file, parseObject(file, text), entry.document ?? {}, parseObject(file, before)));
}

type Fields = Record<string, unknown>;

function json(value: Fields): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function parseObject(file: string, text: string): Fields {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw byHand(file, `is not plain JSON (${messageOf(error)})`);
  }
  if (isObject(value)) return value;
  throw new Fault('illegal_in_status', `${file} is not a JSON object`);
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Two levels deep: sections are joined, an entry of the same name is replaced as a whole, lists join by id. */
function merge(before: Fields, ours: Fields): Fields {
  const merged = { ...before };
  for (const [key, value] of Object.entries(ours)) {
    const there = before[key];
    if (isObject(there) && isObject(value)) merged[key] = { ...there, ...value };
    else if (Array.isArray(there) && Array.isArray(value))
      merged[key] = [...withoutIds(there, value), ...value];
    else merged[key] = value;
  }
  return merged;
}

/** The opposite: entries that are still ours go, those of `before` come back in their place. */
function unmerge(file: string, now: Fields, ours: Fields, before: Fields): Fields {
  const rest = { ...now };
  for (const [key, value] of Object.entries(ours)) {
    const there = now[key];
    const was = before[key];
    if (isObject(there) && isObject(value)) {
      const section = { ...there };
      for (const [name, entry] of Object.entries(value)) {
        if (!isDeepStrictEqual(there[name], entry)) throw notOurs(file);
        delete section[name];
        if (isObject(was) && name in was) section[name] = was[name];
      }
      rest[key] = section;
    } else if (Array.isArray(there) && Array.isArray(value)) {
      const old = Array.isArray(was) ? was.filter((item) => !withoutIds([item], value).includes(item)) : [];
      rest[key] = [...withoutIds(there, value), ...old];
    } else if (there !== undefined) throw notOurs(file);
    // A section that came with our entry goes with it.
    if (was === undefined && isEmpty(rest[key])) delete rest[key];
  }
  return rest;
}

function isEmpty(value: unknown): boolean {
  return isObject(value) ? Object.keys(value).length === 0 : Array.isArray(value) && value.length === 0;
}

/** What of `there` has none of the ids in `ours`. */
function withoutIds(there: readonly unknown[], ours: readonly unknown[]): unknown[] {
  const ids = new Set(ours.map((entry) => (isObject(entry) ? entry.id : undefined)));
  return there.filter((entry) => !(isObject(entry) && ids.has(entry.id)));
}
