// What every command gets, and how a command is declared: one place adds --json, prints the answer in the form that
// was asked for, and nothing else writes results to standard output.
import type { Command } from 'commander';
import { type Api, createApi } from './client.ts';
import { ExitCode } from './exit-code.ts';
import { explain } from './explain.ts';
import type { CliConfig } from './find-daemon.ts';
import { describeArguments, examplesText, pathOf, sentence } from './help.ts';
import { canRedraw, columnsOf, isTerminal, painter } from './output.ts';
import type { Look } from './table.ts';
import { createWaiting, type Waiting } from './waiting.ts';

export interface Streams {
  readonly in: NodeJS.ReadableStream;
  readonly out: NodeJS.WritableStream;
  readonly err: NodeJS.WritableStream;
}

/** What the process is given; main passes the real ones, tests their own. */
export interface Surroundings {
  readonly config: CliConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly streams: Streams;
  /** Aborts on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

/** `paint` and `columns` are those of standard output. */
export interface Context extends Surroundings, Look {
  readonly api: Api;
  readonly json: boolean;
  /** For what may take long: says what is waited for, where somebody watches. */
  readonly waiting: Waiting;
  /** A remark for people, on standard error. */
  note(text: string): void;
}

/** What a command found or did, in both forms. */
export interface Answer {
  /** For --json: exactly this, as one document. */
  readonly document: unknown;
  /** For people. */
  readonly text: string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** A command's work. Returns undefined when it has written everything itself (a stream, the daemon). */
type Handler<Options> = (
  context: Context,
  options: Options,
  ...args: string[]
) => Promise<Answer | undefined>;

export interface Leaf<Options> {
  /** Commander's notation: `run <type>`. */
  readonly usage: string;
  readonly summary: string;
  /** Options of its own; --json is added to all. */
  readonly options?: (command: Command) => void;
  /** Lines to be typed, each with what it does; shown by --help. */
  readonly examples?: readonly (readonly [line: string, about: string])[];
  readonly handler: Handler<Options>;
}

/** Declares one command below `parent`. */
export function declare<Options extends object = object>(
  parent: Command,
  surroundings: Surroundings,
  leaf: Leaf<Options>,
): void {
  const command = parent.command(leaf.usage).summary(leaf.summary).description(sentence(leaf.summary));
  leaf.options?.(command);
  describeArguments(command);
  command.option('--json', 'one JSON document on standard output, nothing else');
  const path = pathOf(command);
  command.showHelpAfterError(`  See "${path} --help".`);
  if (leaf.examples !== undefined) command.addHelpText('after', examplesText(leaf.examples));
  command.action(async (...received: unknown[]) => {
    // Commander passes the arguments, then the options, then the command itself.
    const args = received.slice(0, -2).map((arg) => (typeof arg === 'string' ? arg : ''));
    const options = command.opts<Options & { json?: boolean }>();
    const context = contextOf(surroundings, options.json === true);
    const words = Object.fromEntries(
      command.registeredArguments.map((arg, at) => [arg.name(), args[at] ?? '']),
    );
    const answer = await leaf.handler(context, options, ...args).catch(async (error: unknown) => {
      throw await explain(error, { ...words, command: path }, context.api);
    });
    if (answer === undefined) return;
    const text = context.json ? JSON.stringify(answer.document, null, 2) : answer.text;
    if (text !== '') surroundings.streams.out.write(`${text}\n`);
    if (answer.exitCode !== undefined && answer.exitCode !== 0) throw new ExitCode(answer.exitCode);
  });
}

/** What a command gets in these surroundings. */
function contextOf(surroundings: Surroundings, json: boolean): Context {
  const { config, env, streams, signal } = surroundings;
  const watched = !json && isTerminal(streams.out) && canRedraw(streams.err, env);
  const waiting = createWaiting(streams.err, watched);
  return {
    ...surroundings,
    api: watchedApi(createApi(config, signal), waiting),
    json,
    paint: painter(streams.out, env),
    columns: columnsOf(streams.out),
    waiting,
    note: (text) => {
      streams.err.write(`${text}\n`);
    },
  };
}

/** Says that the daemon is waited for when a single answer takes long. */
function watchedApi(api: Api, waiting: Waiting): Api {
  const text = 'Waiting for the daemon';
  return {
    ...api,
    send: (method, path, options) => waiting(text, () => api.send(method, path, options)),
    one: (method, path, options) => waiting(text, () => api.one(method, path, options)),
    all: (path, query, max) => waiting(text, () => api.all(path, query, max)),
  };
}
