// Runs a client's own command, without a shell, so that what is in its arguments is in no history.
import { spawn } from 'node:child_process';
import { Fault, messageOf } from '../base/errors.ts';
import type { Context } from './context.ts';

/** @throws Fault internal when it is not there, or says no */
export async function runClient(context: Context, command: readonly string[]): Promise<void> {
  const [program = '', ...args] = command;
  const code = await new Promise<number>((resolve, reject) => {
    // Its words go to standard error: standard output is for the answer.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], signal: context.signal });
    child.stdout.on('data', (chunk: Buffer) => context.streams.err.write(chunk));
    child.once('error', (error) =>
      reject(new Fault('internal', `${program} cannot be run: ${messageOf(error)}`)),
    );
    child.once('close', (exitCode) => resolve(exitCode ?? 1));
  });
  if (code !== 0) throw new Fault('internal', `${program} ended with exit code ${code}`);
}
