// What somebody probably meant by a word that is none of those possible. Pure. Says nothing rather than guess wildly.

const distanceMax = 3;

/** The words of `known` that are nearest to `wish`, best first; none when all are too far from it. */
export function nearest(wish: string, known: readonly string[]): string[] {
  const word = wish.toLowerCase();
  const near = known
    .map((name) => ({ name, distance: distance(word, name.toLowerCase()) }))
    .filter(
      ({ name, distance }) => distance <= distanceMax && distance < Math.max(word.length, name.length) * 0.6,
    )
    .sort((a, b) => a.distance - b.distance);
  const best = near[0]?.distance;
  return near.filter((entry) => entry.distance === best).map(({ name }) => name);
}

/** `Did you mean "a" or "b"?`, or undefined when there is nothing near. */
export function didYouMean(wish: string, known: readonly string[]): string | undefined {
  const words = nearest(wish, known).slice(0, 3);
  return words.length === 0 ? undefined : `Did you mean ${words.map((word) => `"${word}"`).join(' or ')}?`;
}

/** Commander's message as ours look; about a value that is none of the choices, with what was probably meant. */
export function usageError(message: string): string {
  const text = message.replace(/^error: /, 'minimcp: ').trimEnd();
  const meant = /\n\(Did you mean (?:one of )?(.+)\?\)$/.exec(text);
  if (meant === null) return `${withChoice(text)}\n`;
  const words = (meant[1] ?? '').split(', ').map((word) => `"${word}"`);
  return `${text.slice(0, meant.index)}\n  Did you mean ${words.join(' or ')}?\n`;
}

function withChoice(message: string): string {
  const [, wish = '', choices = ''] =
    /'([^']*)' is invalid.*Allowed choices are (.+)\.$/s.exec(message) ?? [];
  const meant = didYouMean(wish, choices.split(', '));
  return meant === undefined ? message : `${message}\n  ${meant}`;
}

/** Damerau and Levenshtein's: letters more, fewer, other, or two neighbours swapped. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
