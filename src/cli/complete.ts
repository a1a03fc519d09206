// What can stand at the end of a half-typed command line: commands, options, choices, and what the daemon knows
// (instances, types, users …). Answers quickly or with less: a daemon that does not answer within two seconds is not waited for.
import type { Command, Option } from 'commander';
import { createApi } from './client.ts';
import type { Surroundings } from './context.ts';
import { isLive, liveValues, type Value } from './live-values.ts';

const answerMsMax = 2_000;
const durations = ['15m', '1h', '4h', '8h', '1d'];

/** Told to the script instead of values: the shell completes files here. */
const files = ':files';

/**
 * @param words what was typed after the program's name; the last one is being typed, and may be empty
 * @returns lines of `value<TAB>about`, those that begin with the last word
 */
export async function complete(
  program: Command,
  words: readonly string[],
  surroundings: Surroundings,
): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const place = findPlace(program, words.slice(0, -1));
  const values = await valuesAt(place, current, surroundings);
  if (values === files) return [files];
  return values
    .filter(({ value }) => value.startsWith(current))
    .map(({ value, about }) => (about === '' ? value : `${value}\t${about}`));
}

interface Place {
  readonly command: Command;
  /** The option whose value comes next. */
  readonly option: Option | undefined;
  /** How many arguments there are already. */
  readonly args: number;
  readonly given: ReadonlySet<string>;
}

function findPlace(program: Command, words: readonly string[]): Place {
  let command = program;
  let args = 0;
  let option: Option | undefined;
  const given = new Set<string>();
  for (const word of words) {
    const under = command.commands.find((child) => child.name() === word);
    if (option !== undefined) option = undefined;
    else if (word.startsWith('-')) {
      const found = command.options.find((known) => known.short === word || known.long === word);
      if (found !== undefined) given.add(found.attributeName());
      option = found?.required === true || found?.optional === true ? found : undefined;
    } else if (under !== undefined && args === 0) command = under;
    else args += 1;
  }
  return { command, option, args, given };
}

async function valuesAt(
  { command, option, args, given }: Place,
  current: string,
  surroundings: Surroundings,
): Promise<readonly Value[] | typeof files> {
  if (option !== undefined) {
    const name = /[<[]([^>\].]+)/.exec(option.flags)?.[1] ?? '';
    return valuesFor(name, option.argChoices, surroundings);
  }
  if (current.startsWith('-')) {
    return command.options
      .filter((known) => known.variadic || !given.has(known.attributeName()))
      .map((known) => ({ value: known.long ?? known.short ?? '', about: known.description }));
  }
  const argument = command.registeredArguments[args];
  if (argument !== undefined) return valuesFor(argument.name(), argument.argChoices, surroundings);
  return args > 0 ? [] : command.commands.map((child) => ({ value: child.name(), about: child.summary() }));
}

async function valuesFor(
  name: string,
  choices: readonly string[] | undefined,
  { config, signal }: Surroundings,
): Promise<readonly Value[] | typeof files> {
  const plain = (values: readonly string[]): Value[] => values.map((value) => ({ value, about: '' }));
  if (choices !== undefined) return plain(choices);
  if (name === 'duration') return plain(durations);
  if (name === 'file' || name === 'source') return files;
  if (!isLive(name)) return [];
  return liveValues(createApi(config, AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)])), name);
}
