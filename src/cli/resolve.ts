// From what people call an instance, a user or a token to its id. Refuses to choose between several.
import type { InstanceView } from '../api/contract.ts';
import { Fault } from '../base/errors.ts';
import type { Api } from './client.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * The id behind a UUID, an unambiguous prefix of one, or a name.
 * @throws Fault not_found, or malformed_request with the candidates
 */
export async function resolveInstance(api: Api, wish: string): Promise<string> {
  if (uuid.test(wish)) return wish.toLowerCase();
  const { data } = await api.all<InstanceView>('/instances', { include_ended: true });
  return pick(wish, data, {
    what: 'instance',
    names: (instance) => [instance.name],
    describe: (instance) => `${instance.id}  ${instance.name}  ${instance.mcp_type}  ${instance.status}`,
  });
}

/** Ids begin with the time they were made: with fewer characters those of one minute would look alike. */
const shortIdChars = 13;

/** Prefixes of ids, as short as tells these apart, and never shorter than one that probably tells all apart. */
export function shortIds(ids: readonly string[]): string[] {
  let chars = shortIdChars;
  while (chars < 36 && new Set(ids.map((id) => id.slice(0, chars))).size < new Set(ids).size) chars += 1;
  return ids.map((id) => id.slice(0, chars));
}

export interface PickOptions<T> {
  readonly what: string;
  readonly names: (entry: T) => readonly string[];
  readonly describe: (entry: T) => string;
}

/** The id of the one entry that `wish` names exactly, or else whose id starts with it. */
export function pick<T extends { readonly id: string }>(
  wish: string,
  entries: readonly T[],
  options: PickOptions<T>,
): string {
  const named = entries.filter((entry) => options.names(entry).includes(wish));
  const prefix = wish.toLowerCase();
  const found =
    named.length > 0 ? named : entries.filter((entry) => prefix !== '' && entry.id.startsWith(prefix));
  if (found.length === 1 && found[0] !== undefined) return found[0].id;
  if (found.length === 0) throw new Fault('not_found', `no ${options.what} of yours is called "${wish}"`);
  const shown = found.slice(0, 10).map((entry) => `  ${options.describe(entry)}`);
  const more = found.length > shown.length ? [`  and ${found.length - shown.length} more`] : [];
  throw new Fault(
    'malformed_request',
    [`"${wish}" could be ${found.length} ${options.what}s; say which:`, ...shown, ...more].join('\n'),
  );
}
