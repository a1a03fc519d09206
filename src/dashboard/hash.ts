// The hash of the address as a place of the page, and back. Pure.

export interface Place {
  /** Starts with a slash: `/instances/ID`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/** Reads `#/instances?status=running`; anything else is the root. */
export function parseHash(hash: string): Place {
  const [path = '', search = ''] = hash.replace(/^#/, '').split('?', 2);
  return {
    path: path.startsWith('/') ? path.replace(/(.)\/+$/, '$1') : '/',
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

/** A link to a place; empty values are left out. */
export function hrefOf(path: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? '') !== '');
  const search = new URLSearchParams(given).toString();
  return `#${path}${search === '' ? '' : `?${search}`}`;
}

/**
 * Matches a path against a pattern like `/instances/:id`.
 * @returns its parameters, or undefined when it is another path
 */
export function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const parts = path.split('/');
  if (wanted.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (const [at, want] of wanted.entries()) {
    const part = parts[at] ?? '';
    if (want.startsWith(':')) params[want.slice(1)] = decoded(part);
    else if (want !== part) return undefined;
  }
  return params;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
