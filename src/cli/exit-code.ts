// The exit codes of the command line, which scripts rely on: done, failed, wrong use, try again.

export const exitCodes = { done: 0, failed: 1, wrongUse: 2, tryAgain: 75 } as const;

/** Ends the command with a code after its answer was printed. Not an error: nothing further is said. */
export class ExitCode extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.name = 'ExitCode';
    this.code = code;
  }
}
