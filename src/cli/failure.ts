// How the CLI fails: one message on standard error with the code and what to do, one exit code, and with --json the
// problem document on standard output, so that a script always finds one document there.
import { CommanderError } from 'commander';
import type { Problem } from '../api/contract.ts';
import { errorRegistry, Fault, messageOf } from '../base/errors.ts';
import { ApiError } from './api-error.ts';
import { ExitCode } from './context.ts';
import { oneLine, printable } from './output.ts';

export const exitCodes = { done: 0, failed: 1, wrongUse: 2, tryAgain: 75 } as const;

export interface Failure {
  readonly exitCode: number;
  /** For standard error; empty when everything has been said. */
  readonly text: string;
  /** For standard output with --json; undefined when nothing belongs there. */
  readonly problem: Problem | undefined;
}

/** What to say and how to exit for anything a command threw. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ExitCode) return { exitCode: error.code, text: '', problem: undefined };
  if (error instanceof CommanderError) return ofCommander(error);
  if (error instanceof ApiError) {
    return {
      exitCode: exitOf(error.problem),
      text: say(error.problem, error.retryAfterS),
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
  return { exitCode, text: say(problem, fault.retryAfterS, wrongUse), problem };
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

function say(problem: Problem, retryAfterS: number | undefined, wrongUse = false): string {
  const lines = [`minimcp: ${printable(problem.detail || problem.title)}`];
  for (const field of problem.errors) {
    if (!problem.detail.includes(field.message))
      lines.push(`  ${oneLine(field.pointer)}: ${oneLine(field.message)}`);
  }
  // What broke on this side of the API has no request to report.
  const ours = problem.code === 'internal' && problem.request_id === '';
  if (!wrongUse && !ours) {
    const remedy = remedyOf(problem.code);
    const request = problem.code === 'internal' ? `, request ${problem.request_id}` : '';
    lines.push(`  ${problem.code}${request}${remedy === undefined ? '' : `: ${remedy}`}`);
  }
  if (retryAfterS !== undefined) lines.push(`  Try again in ${retryAfterS} s.`);
  return lines.join('\n');
}

function remedyOf(code: string): string | undefined {
  return Object.hasOwn(errorRegistry, code)
    ? errorRegistry[code as keyof typeof errorRegistry].remedy
    : undefined;
}
