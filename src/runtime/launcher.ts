// Starts processes: shims, detached so that they outlive us, and small helpers that are waited for. A shim is told
// everything on its standard input, after its identity is on disk: a supervisor killed in between leaves a shim that
// reads the end of its input and exits. Never a secret in an argument or an environment.
import type { FileHandle } from 'node:fs/promises';
import { execa } from 'execa';
import { monotonicMs, sleep } from '../base/clock.ts';
import type { LaunchSpec } from '../shim/contract.ts';
import { identify, type ProcessIdentity, readProcess, signalProven } from './process-identity.ts';

export interface LaunchOptions {
  /** The whole command line, wrappers first. */
  readonly command: readonly string[];
  readonly cwd: string;
  /** The user the process has once its wrappers are through. */
  readonly uid: number;
  /** Without setpriv: Node itself changes the user between fork and exec. */
  readonly dropTo?: { readonly uid: number; readonly gid: number } | undefined;
  readonly stderr: FileHandle;
  /** Inherited as descriptor 3. */
  readonly listenFd?: number | undefined;
  readonly spec: LaunchSpec;
  /** Called with the proof of who was started, before it is told anything. */
  readonly onIdentity: (identity: ProcessIdentity) => Promise<void>;
  /** Called when a process of ours ends; not called once this supervisor is gone. */
  readonly onExit: () => void;
}

const handOverMsMax = 10_000;

/** Starts a shim and hands it its spec. @throws when it died before it had read it all; nothing of it is left then */
export async function launchShim(options: LaunchOptions): Promise<ProcessIdentity> {
  const [file = '', ...args] = options.command;
  const subprocess = execa(file, args, {
    cwd: options.cwd,
    // Only the input is a pipe, and it ends at once: an open pipe would kill the shim together with us.
    // (Any descriptor is passed on to spawn as it is; execa's types only know the lowest ones.)
    stdio: [
      'pipe',
      'ignore',
      options.stderr.fd as 2,
      ...(options.listenFd === undefined ? [] : [options.listenFd as 3]),
    ],
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' },
    extendEnv: false,
    detached: true,
    cleanup: false,
    buffer: false,
    reject: false,
    ...(options.dropTo === undefined ? {} : options.dropTo),
  });
  const ended = subprocess.then((result) => {
    options.onExit();
    return result;
  });
  const { pid, stdin } = subprocess;
  if (pid === undefined) {
    const { shortMessage } = await ended;
    throw new Error(`the shim could not be started: ${shortMessage ?? 'unknown cause'}`);
  }
  subprocess.nodeChildProcess.unref();
  stdin.on('error', () => {});
  const identity = await arrived(pid, options.uid);
  if (identity === undefined) {
    stdin.destroy();
    throw new Error(`the shim ended at once: ${(await ended).shortMessage ?? 'unknown cause'}`);
  }
  try {
    await options.onIdentity(identity);
    await handOver(stdin, JSON.stringify(options.spec));
    return identity;
  } catch (error) {
    stdin.destroy();
    signalProven(identity, 'SIGKILL');
    throw error;
  }
}

/** Waits until the wrappers have changed the user: from then on the identity is that of the shim. */
async function arrived(pid: number, uid: number): Promise<ProcessIdentity | undefined> {
  const dueMs = monotonicMs() + handOverMsMax;
  for (;;) {
    const identity = identify(pid);
    if (identity?.uid === uid) return identity;
    if (readProcess(pid) === undefined) return undefined;
    if (monotonicMs() > dueMs) {
      if (identity !== undefined) signalProven(identity, 'SIGKILL');
      return undefined;
    }
    await sleep(1);
  }
}

function handOver(stdin: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the shim does not read its input')), handOverMsMax);
    const settle = (error?: Error | null): void => {
      clearTimeout(timer);
      if (error) reject(new Error(`the shim ended before it was told everything (${error.message})`));
      else resolve();
    };
    stdin.once('error', settle);
    stdin.once('close', () => settle(new Error('its input is closed')));
    stdin.end(text, () => settle());
  });
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** For its standard input; without it there is none. */
  readonly input?: string;
}

export interface RunResult {
  readonly ok: boolean;
  readonly stdout: string;
  /** What went wrong, with the last lines of its standard error. */
  readonly problem: string;
}

/** Runs a helper to its end, killing it at its time-out. Its output is bounded. Never throws. */
export async function runHelper(command: readonly string[], options: RunOptions): Promise<RunResult> {
  const [file = '', ...args] = command;
  const result = await execa(file, args, {
    cwd: options.cwd ?? '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', ...options.env },
    extendEnv: false,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 1024 * 1024,
    reject: false,
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid ?? options.uid }),
  });
  const stderr = (result.stderr ?? '').trim().split('\n').slice(-12).join('\n');
  const problem = result.failed ? [result.shortMessage, stderr].filter(Boolean).join('\n') : '';
  return { ok: !result.failed, stdout: result.stdout ?? '', problem };
}
