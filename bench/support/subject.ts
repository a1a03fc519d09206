// A bridge that is measured: how it is started, until its first client is served, and how nothing of it is left.
import { type ChildProcess, spawn } from 'node:child_process';
import { monotonicMs, sleep } from '../../src/base/clock.ts';
import { openSession, type Target } from './mcp-session.ts';
import { descendants } from './processes.ts';

export interface Subject {
  /** Column heading. */
  readonly name: string;
  /** Starts one; several may run at once. Resolves when its first client has had a call answered and has left. */
  start(): Promise<Bridge>;
}

export interface Bridge extends AsyncDisposable {
  readonly target: Target;
  /** The process that every call passes through. */
  readonly pid: number;
  /** From spawn to the first answered call of a client, its initialize included, milliseconds. */
  readonly startedMs: number;
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Written to its standard input. */
  readonly input?: string;
  readonly target: Target;
}

const startMsMax = 30_000;
const retryMs = 3;

/** Starts a program that will serve `target`, and waits for its first answer. */
export async function startBridge(program: Program): Promise<Bridge> {
  const { command, args, env, input, target } = program;
  const spawnedMs = monotonicMs();
  const process_ = spawn(command, args, {
    env,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore'],
  });
  process_.stdin?.end(input);
  const pid = process_.pid;
  if (pid === undefined) throw new Error(`${command} cannot be started`);
  try {
    const startedMs = await firstAnswer(process_, target, spawnedMs);
    return { target, pid, startedMs, [Symbol.asyncDispose]: () => endTree(process_) };
  } catch (error) {
    await endTree(process_);
    throw error;
  }
}

async function firstAnswer(process_: ChildProcess, target: Target, spawnedMs: number): Promise<number> {
  for (;;) {
    if (process_.exitCode !== null)
      throw new Error(`a bridge ended before it served: ${process_.spawnargs.join(' ')}`);
    try {
      const session = await openSession(target);
      try {
        // Some answer initialize before they have a server to call.
        await session.call();
        return monotonicMs() - spawnedMs;
      } finally {
        await session.end();
      }
    } catch (error) {
      if (monotonicMs() - spawnedMs > startMsMax) throw error;
    }
    await sleep(retryMs);
  }
}

/** Kills a process and everything below it, and waits for its end. */
async function endTree(process_: ChildProcess): Promise<void> {
  if (process_.exitCode !== null || process_.signalCode !== null) return;
  const ended = new Promise((resolve) => process_.once('exit', resolve));
  const below = descendants(process_.pid ?? -1);
  process_.kill('SIGKILL');
  for (const pid of below) killQuietly(pid);
  await ended;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went with its parent.
  }
}
