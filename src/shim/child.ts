// One run of the MCP server: spawned in a process group of its own, with pipes on all three streams. It is signalled
// as a group, so that what it started goes with it. A command that cannot be started looks like an exit with `error`.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { ChildSpec } from './contract.ts';
import type { ChildLink } from './seams.ts';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not be started at all. */
  readonly error: string | null;
}

export interface Child {
  /** Null when it could not be started. */
  readonly pid: number | null;
  readonly link: ChildLink;
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
  /** Resolves when the process itself is gone; what it wrote may still be in the pipes. */
  readonly exited: Promise<ChildExit>;
  hasExited(): boolean;
  /** Resolves when it no longer takes what it is sent. */
  readonly inputLost: Promise<void>;
  /** Gives up reading what it or what it left behind may still write. */
  destroyOutput(): void;
  /** Lets it see the end of its standard input: the polite way to ask it to leave. */
  closeInput(): void;
  /** Whether its input has been closed, so that it leaves. */
  isAskedToLeave(): boolean;
  /** Signals its process group, or what is left of it after the process itself is gone. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

/** Bytes towards the child that may wait before the bridge is asked to hold. */
const inputBytesMax = 256 * 1024;

/** Starts the child. Never throws. */
export function startChild(spec: ChildSpec): Child {
  let process_: ChildProcess;
  try {
    process_ = spawn(spec.command, spec.args, {
      cwd: spec.cwd,
      env: { ...spec.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group (and session) of its own: a signal to the shim is not a signal to the child.
      detached: true,
    });
  } catch (error) {
    return notStarted(spec, error as Error);
  }
  const pid = process_.pid ?? null;
  let gone = false;
  let asked = false;
  const exited = new Promise<ChildExit>((resolve) => {
    const leave = (exit: ChildExit): void => {
      gone = true;
      resolve(exit);
    };
    process_.once('exit', (code, signal) => leave({ code, signal, error: null }));
    process_.on('error', (error) => {
      if (pid === null) leave({ code: null, signal: null, error: reasonOf(spec, error) });
    });
  });
  const inputLost = new Promise<void>((resolve) => {
    process_.stdin?.on('error', () => resolve());
  });
  // A broken output pipe is at its end, and that is what the reader waits for.
  process_.stdout?.on('error', () => {});
  process_.stderr?.on('error', () => {});
  return {
    pid,
    link: createLink(process_.stdin),
    stdout: process_.stdout,
    stderr: process_.stderr,
    exited,
    hasExited: () => gone,
    inputLost,
    destroyOutput: () => {
      process_.stdout?.destroy();
      process_.stderr?.destroy();
    },
    closeInput: () => {
      asked = true;
      process_.stdin?.end();
    },
    isAskedToLeave: () => asked,
    signal: (name) => {
      if (pid !== null) signalGroup(pid, name, gone);
    },
  };
}

function notStarted(spec: ChildSpec, error: Error): Child {
  const exit: ChildExit = { code: null, signal: null, error: reasonOf(spec, error) };
  return {
    pid: null,
    link: createLink(null),
    stdout: null,
    stderr: null,
    exited: Promise.resolve(exit),
    hasExited: () => true,
    inputLost: new Promise(() => {}),
    destroyOutput: () => {},
    closeInput: () => {},
    isAskedToLeave: () => false,
    signal: () => {},
  };
}

function reasonOf(spec: ChildSpec, error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return `${spec.command} cannot be started in ${spec.cwd} (${code ?? error.message})`;
}

/** Joins the lines of one tick into one write, and says when the child does not keep up. */
function createLink(stdin: NodeJS.WritableStream | null): ChildLink {
  const lines: string[] = [];
  const callbacks: (() => void)[] = [];
  let queuedBytes = 0;
  let full = false;
  const waiting = (): number =>
    queuedBytes + ((stdin as { writableLength?: number } | null)?.writableLength ?? 0);
  const release = (): void => {
    if (!full || waiting() > inputBytesMax / 2) return;
    full = false;
    for (const callback of callbacks) callback();
  };
  const flush = (): void => {
    const text = `${lines.join('\n')}\n`;
    lines.length = 0;
    queuedBytes = 0;
    if (stdin?.writable) stdin.write(text);
    release();
  };
  stdin?.on('drain', release);
  return {
    send(line) {
      if (lines.length === 0) setImmediate(flush);
      lines.push(line);
      queuedBytes += line.length;
      if (waiting() > inputBytesMax) full = true;
      return !full;
    },
    onDrain(callback) {
      callbacks.push(callback);
    },
  };
}

function signalGroup(pid: number, name: 'SIGTERM' | 'SIGKILL', gone: boolean): void {
  // The number of a group is not given to a new process while the group has members. So once the leader is gone,
  // a group without a process of that number is ours, and one with such a process is somebody else's.
  if (gone && exists(pid)) return;
  if (name === 'SIGTERM' && !gone) {
    const inner = insideSandbox(pid);
    if (inner.length > 0) {
      for (const member of inner) kill(member, name);
      return;
    }
  }
  kill(-pid, name);
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Already gone.
  }
}

/**
 * The processes below a bubblewrap. It must not get the SIGTERM itself: it would die of it and take the server with
 * it, SIGKILL, before the server has had its chance.
 */
function insideSandbox(pid: number): number[] {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'bwrap') return [];
    return descendants(pid, 0);
  } catch {
    return [];
  }
}

function descendants(pid: number, depth: number): number[] {
  if (depth > 16) return [];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return children.flatMap((child) => [child, ...descendants(child, depth + 1)]);
}
