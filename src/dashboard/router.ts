// Where the page is: a path and a query in the URL's hash, so that every view can be shared and the back button is right.
// Screens read `place`, and change it with `go` (a new entry in the history) or `setQuery` (one, or in place).
import { signal } from '@preact/signals';
import { hrefOf, matchPath, type Place, parseHash } from './hash.ts';

export const place = signal<Place>({ path: '/', query: {} });

/** Goes to a link made by hrefOf. `replace` leaves no entry in the history. */
export function go(href: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  place.value = parseHash(href);
}

/** Changes parts of the query; undefined or empty takes one out. */
export function setQuery(
  change: Readonly<Record<string, string | undefined>>,
  options?: { readonly replace?: boolean },
): void {
  const { path, query } = place.peek();
  const href = hrefOf(path, { ...query, ...change });
  if (href !== hrefOf(path, query)) go(href, options);
}

let known: readonly string[] = [];

/** A link to a place if this page has a screen for it, else undefined. */
export function linkIfThere(path: string, query?: Parameters<typeof hrefOf>[1]): string | undefined {
  return known.some((pattern) => matchPath(pattern, path)) ? hrefOf(path, query) : undefined;
}

/** Starts to follow the address bar. @param patterns the paths that have a screen */
export function startRouter(patterns: readonly string[]): void {
  known = patterns;
  const follow = (): void => {
    place.value = parseHash(location.hash);
  };
  addEventListener('hashchange', follow);
  addEventListener('popstate', follow);
  follow();
}
