// How the CLI fails: one message on standard error with the code and what to do, one exit code, and with --json the
// problem document on standard output, so that a script always finds one document there.
import { CommanderError } from 'commander';
import type { Problem } from '../api/contract.ts';
import { Fault, messageOf } from '../base/errors.ts';
import { ApiError } from './api-error.ts';
import { ExitCode, exitCodes } from './exit-code.ts';
import { Explained, type Words } from './explain.ts';
import { oneLine, printable } from './output.ts';
import { remedyFor } from './remedies.ts';

export interface Failure {
  readonly exitCode: number;
  /** For standard error; empty when everything has been said. */
  readonly text: string;
  /** For standard output with --json; undefined when nothing belongs there. */
  readonly problem: Problem | undefined;
}

interface Said {
  readonly words: Words;
  readonly suggestion: string | undefined;
}

/** What to say and how to exit for anything a command threw. */
export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof Explained ? thrown.cause : thrown;
  const said: Said = thrown instanceof Explained ? thrown : { words: {}, suggestion: undefined };
  if (error instanceof ExitCode) return { exitCode: error.code, text: '', problem: undefined };
  if (error instanceof CommanderError) return ofCommander(error);
  if (error instanceof ApiError) {
    const next = withCode(error.problem, remedyFor(error.problem.code, said.words));
    return {
      exitCode: exitOf(error.problem),
      text: say(error.problem, { ...said, next, retryAfterS: error.retryAfterS }),
      problem: error.problem,
    };
  }
  const fault = error instanceof Fault ? error : new Fault('internal', messageOf(error), { cause: error });
  const problem: Problem = {
    type: 'about:blank',
    title: fault.title,
    status: fault.status,
    code: fault.code,
    detail: fault.message,
    errors: fault.errors.map((field) => ({ ...field })),
    request_id: '',
  };
  // A malformed request that never left this process is a wrong use of the command line.
  const wrongUse = fault.code === 'malformed_request' || fault.code === 'invalid_field';
  const exitCode = wrongUse ? exitCodes.wrongUse : exitOf(problem);
  const next = wrongUse ? seeHelp(said.words) : ownNext(problem, fault, said.words);
  return { exitCode, text: say(problem, { ...said, next, retryAfterS: fault.retryAfterS }), problem };
}

function seeHelp(words: Words): string | undefined {
  return words.command === undefined ? undefined : `See "${words.command} --help".`;
}

/** What to do about what this side of the API refused. Where it was a file or a process, its words say it themselves. */
function ownNext(problem: Problem, fault: Fault, words: Words): string | undefined {
  if (fault.code === 'illegal_in_status' || fault.code === 'internal') return undefined;
  return withCode(problem, remedyFor(fault.code, words));
}

function withCode({ code, request_id }: Problem, remedy: string | undefined): string {
  const request = code === 'internal' ? `, request ${request_id}` : '';
  return `${code}${request}${remedy === undefined ? '' : `: ${remedy}`}`;
}

function ofCommander(error: CommanderError): Failure {
  if (error.exitCode === 0) return { exitCode: exitCodes.done, text: '', problem: undefined };
  // Commander has printed its own message, or the help when the command was missing.
  const problem: Problem = {
    type: 'about:blank',
    title: 'Wrong use',
    status: 400,
    code: 'malformed_request',
    detail: error.message.replace(/^error: /, ''),
    errors: [],
    request_id: '',
  };
  return { exitCode: exitCodes.wrongUse, text: '', problem };
}

function exitOf(problem: Problem): number {
  const again = problem.status === 503 || problem.status === 429 || problem.code === 'daemon_unreachable';
  return again ? exitCodes.tryAgain : exitCodes.failed;
}

interface Advice {
  readonly suggestion: string | undefined;
  /** What to do next. */
  readonly next: string | undefined;
  readonly retryAfterS: number | undefined;
}

function say(problem: Problem, { suggestion, next, retryAfterS }: Advice): string {
  const fields = problem.errors
    .filter((field) => !problem.detail.includes(field.message))
    .map((field) => `${oneLine(field.pointer)}: ${oneLine(field.message)}`);
  const again = retryAfterS === undefined ? undefined : `Try again in ${retryAfterS} s.`;
  const below = [...fields, suggestion, next, again].filter((line) => line !== undefined);
  return [`minimcp: ${printable(problem.detail || problem.title)}`, ...below.map((line) => `  ${line}`)].join(
    '\n',
  );
}
