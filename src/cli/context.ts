// What every command gets, and how a command is declared: one place adds --json, prints the answer in the form that
// was asked for, and nothing else writes results to standard output.
import type { Command } from 'commander';
import { type Api, createApi } from './client.ts';
import type { CliConfig } from './find-daemon.ts';
import { type Paint, painter } from './output.ts';

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

export interface Context extends Surroundings {
  readonly api: Api;
  readonly json: boolean;
  /** Paints for standard output. */
  readonly paint: Paint;
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
  readonly handler: Handler<Options>;
}

/** Declares one command below `parent`. */
export function declare<Options extends object = object>(
  parent: Command,
  surroundings: Surroundings,
  leaf: Leaf<Options>,
): void {
  const command = parent.command(leaf.usage).summary(leaf.summary).description(leaf.summary);
  leaf.options?.(command);
  command.option('--json', 'one JSON document on standard output, nothing else');
  command.action(async (...received: unknown[]) => {
    // Commander passes the arguments, then the options, then the command itself.
    const args = received.slice(0, -2).map((arg) => (typeof arg === 'string' ? arg : ''));
    const options = command.opts<Options & { json?: boolean }>();
    const context = contextOf(surroundings, options.json === true);
    const answer = await leaf.handler(context, options, ...args);
    if (answer === undefined) return;
    const text = context.json ? JSON.stringify(answer.document, null, 2) : answer.text;
    if (text !== '') surroundings.streams.out.write(`${text}\n`);
    if (answer.exitCode !== undefined && answer.exitCode !== 0) throw new ExitCode(answer.exitCode);
  });
}

/** Ends the command with a code after its answer was printed. Not an error: nothing further is said. */
export class ExitCode extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.name = 'ExitCode';
    this.code = code;
  }
}

function contextOf(surroundings: Surroundings, json: boolean): Context {
  return {
    ...surroundings,
    api: createApi(surroundings.config, surroundings.signal),
    json,
    paint: painter(surroundings.streams.out),
    note: (text) => {
      surroundings.streams.err.write(`${text}\n`);
    },
  };
}
