// What a command adds to its failure: the words it was given, so that the remedy can be typed as it stands, and what
// was probably meant by one that does not exist.
import { Fault } from '../base/errors.ts';
import { ApiError } from './api-error.ts';
import type { Api } from './client.ts';
import { ExitCode } from './exit-code.ts';
import { isLive, liveValues } from './live-values.ts';
import { didYouMean } from './suggest.ts';

/** Arguments by the names of the notation: `{ id: 'scratch' }`. */
export type Words = Readonly<Record<string, string>>;

/** A failure (`cause`) with what is known of the command it stopped. */
export class Explained extends Error {
  readonly words: Words;
  readonly suggestion: string | undefined;

  constructor(cause: unknown, words: Words, suggestion: string | undefined) {
    super('explained', { cause });
    this.name = 'Explained';
    this.words = words;
    this.suggestion = suggestion;
  }
}

const aboutNames: ReadonlySet<string> = new Set(['not_found', 'unknown_type', 'invalid_field']);

/** What a command threw, with more to say about it. Never fails: without an answer there is no suggestion. */
export async function explain(error: unknown, words: Words, api: Api): Promise<unknown> {
  if (error instanceof ExitCode) return error;
  return new Explained(error, words, await suggestionFor(error, words, api));
}

async function suggestionFor(error: unknown, words: Words, api: Api): Promise<string | undefined> {
  const code =
    error instanceof ApiError ? error.problem.code : error instanceof Fault ? error.code : undefined;
  if (code === undefined || !aboutNames.has(code)) return undefined;
  for (const [name, wish] of Object.entries(words)) {
    if (wish === '' || !isLive(name)) continue;
    const known = (await liveValues(api, name)).map(({ value }) => value);
    if (!known.includes(wish)) return didYouMean(wish, known);
  }
  return undefined;
}
