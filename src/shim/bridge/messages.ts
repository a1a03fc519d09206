// Tells JSON-RPC messages apart. It believes nothing: what is not exactly a request, a notification or a response is
// `junk`, with the reason.

export type Json = Record<string, unknown>;

export type Kind = 'request' | 'notification' | 'response' | 'junk';

/** What a parsed JSON value is. */
export function kindOf(value: unknown): Kind {
  if (!isObject(value) || value.jsonrpc !== '2.0') return 'junk';
  const { id, method } = value;
  if (typeof method === 'string') {
    const { params } = value;
    if (params !== undefined && (typeof params !== 'object' || params === null)) return 'junk';
    if (id === undefined) return 'notification';
    return isId(id) ? 'request' : 'junk';
  }
  if (method !== undefined || !isId(id)) return 'junk';
  const answers = (value.result === undefined ? 0 : 1) + (value.error === undefined ? 0 : 1);
  return answers === 1 ? 'response' : 'junk';
}

/** Ids are strings or whole numbers that JavaScript can hold; a long one is refused too, for it is kept. */
export function isId(id: unknown): id is string | number {
  return typeof id === 'string' ? id.length <= 1024 : Number.isSafeInteger(id);
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of an object, if both are there and it is a plain object itself. */
export function objectIn(value: unknown, name: string): Json | undefined {
  if (!isObject(value)) return undefined;
  const field = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(field) ? field : undefined;
}

/** A field of an object, if it is a string. */
export function stringIn(value: unknown, name: string): string | undefined {
  if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
  const field = value[name];
  return typeof field === 'string' ? field : undefined;
}
