// Keeps a child alive: starts it, waits until it is ready, starts it again when it dies, and gives up by the restart
// policy. It decides when an instance has failed; how it ends is end.ts. A child that dies before it was ever ready
// is not started again: it would die again.
import { connect } from 'node:net';
import { monotonicMs, sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { restartDelayMs } from '../domain/restart.ts';
import { type Child, type ChildExit, startChild } from './child.ts';
import type { ExitRecord, LaunchSpec, ShimPhase } from './contract.ts';
import type { Output } from './output.ts';
import type { Bridge, Say, ServerInfo } from './seams.ts';

export interface KeeperOptions {
  readonly spec: LaunchSpec;
  /** The child that main.ts started before anything else. */
  readonly first: Child;
  readonly bridge: Bridge;
  readonly readOutput: (child: Child) => Output;
  readonly say: Say;
  readonly onPhase: () => void;
  /** The instance has failed; `word` is for its owner. */
  readonly onFailed: (reason: ExitRecord['reason'], word: string) => void;
}

export interface Keeper {
  readonly phase: ShimPhase;
  readonly child: Child;
  readonly server: ServerInfo | null;
  readonly restarts: number;
  readonly wasReady: boolean;
  readonly lastExit: ChildExit | null;
  /** Begins. It goes on until `release`, or until it has called `onFailed`. */
  start(): void;
  /** No further start; what the child does from now on is its end. */
  release(): void;
  /** Resolves when the child is gone, what it wrote is read and nothing of its group is left. */
  childEnded(): Promise<void>;
}

/** How long the last words of a dead child are waited for. */
const lastWordsMs = 500;
/** A child that has closed its standard input or output but does not leave is of no use to anyone after this. */
const muteMs = 1_000;
const exitSeenMs = 50;

type Opened = 'ready' | 'exited' | 'timeout' | { readonly refused: string };

/** One start of the child, from its first byte to its last. */
interface Run {
  readonly child: Child;
  /** Aborted when there is no more use in opening it. */
  readonly opening: AbortController;
  /** Resolves when the child is gone, what it wrote is read and nothing of its group is left. */
  readonly ended: Promise<void>;
}

/** Makes the keeper of an instance. */
export function createKeeper(options: KeeperOptions): Keeper {
  const { spec, bridge, say, onPhase, onFailed } = options;
  const released = new AbortController();
  let run: Run = { child: options.first, opening: new AbortController(), ended: Promise.resolve() };
  let phase: ShimPhase = 'starting';
  let server: ServerInfo | null = null;
  let restarts = 0;
  let wasReady = false;
  let lastExit: ChildExit | null = null;

  const setPhase = (next: ShimPhase): void => {
    if (released.signal.aborted) return;
    phase = next;
    onPhase();
  };

  const follow = (child: Child): Run => {
    const opening = new AbortController();
    const output = options.readOutput(child);
    if (spec.child.transport === 'stdio') {
      void output.messagesEnded.then(() => leaveOrDie(child, 'closed its standard output'));
      void child.inputLost.then(() => leaveOrDie(child, 'closed its standard input'));
    }
    const ended = child.exited.then(async (exit) => {
      lastExit = exit;
      opening.abort(new Error(wordOf(exit)));
      bridge.childGone(wordOf(exit));
      child.signal('SIGKILL'); // what it left behind in its group
      await Promise.race([output.ended, sleep(lastWordsMs)]);
      child.destroyOutput();
      await output.ended;
    });
    return { child, opening, ended };
  };

  const leaveOrDie = async (child: Child, deed: string): Promise<void> => {
    await Promise.race([child.exited, sleep(muteMs)]);
    if (child.hasExited() || released.signal.aborted) return;
    say('error', `The server ${deed} and went on running; it is ended`);
    child.signal('SIGKILL');
  };

  const open = async ({ child, opening }: Run): Promise<Opened> => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      opening.abort(new Error('start time-out'));
    }, spec.child.startTimeoutMs);
    try {
      if (spec.child.httpPort !== undefined) await portAnswers(spec.child.httpPort, opening.signal);
      server = await bridge.open(child.link, opening.signal);
      return 'ready';
    } catch (error) {
      // A broken pipe may be seen a moment before the exit it comes from.
      if (!isLate) await Promise.race([child.exited, sleep(exitSeenMs)]);
      if (child.hasExited()) return 'exited';
      return isLate ? 'timeout' : { refused: messageOf(error) };
    } finally {
      clearTimeout(timer);
    }
  };

  const keep = async (): Promise<void> => {
    const startedMs = monotonicMs();
    for (let tries = 0; ; tries += 1) {
      const opened = await open(run);
      const readyMs = monotonicMs();
      if (released.signal.aborted) return;
      if (opened === 'ready') {
        say(
          'info',
          wasReady ? 'The server is ready again' : `The server is ready after ${msSince(startedMs)} ms`,
        );
        wasReady = true;
        setPhase('running');
      } else {
        if (run.child.hasExited()) await run.ended;
        if (!wasReady) {
          onFailed(opened === 'timeout' ? 'start_timeout' : 'start_failed', wordOfOpening(opened));
          return;
        }
        say('error', wordOfOpening(opened));
        run.child.signal('SIGKILL');
      }
      await run.child.exited;
      setPhase('restarting');
      await run.ended;
      if (opened === 'ready' && msSince(readyMs) >= spec.restart.resetAfterMs) tries = 0;
      if (!(await startAgain(tries))) return;
    }
  };

  /** @returns whether there is a new child */
  const startAgain = async (tries: number): Promise<boolean> => {
    if (released.signal.aborted) return false;
    const word = lastExit ? wordOf(lastExit) : 'The server has ended';
    const delayMs = restartDelayMs(spec.restart, tries);
    if (delayMs === undefined) {
      onFailed(spec.restart.triesMax === 0 ? 'crashed' : 'crash_loop', word);
      return false;
    }
    say('warn', `${word}; it is started again ${delayMs === 0 ? 'at once' : `in ${delayMs} ms`}`);
    restarts += 1;
    if (delayMs > 0) await sleep(delayMs, released.signal).catch(() => {});
    if (released.signal.aborted) return false;
    run = follow(startChild(spec.child));
    onPhase();
    return true;
  };

  function wordOfOpening(opened: Exclude<Opened, 'ready'>): string {
    if (opened === 'timeout') return `The server did not answer within ${spec.child.startTimeoutMs} ms`;
    if (opened === 'exited')
      return `${lastExit ? wordOf(lastExit) : 'The server has ended'} before it was ready`;
    return `The server could not be opened: ${opened.refused}`;
  }

  return {
    start() {
      run = follow(options.first);
      void keep();
    },
    get phase() {
      return released.signal.aborted ? 'stopping' : phase;
    },
    get child() {
      return run.child;
    },
    get server() {
      return server;
    },
    get restarts() {
      return restarts;
    },
    get wasReady() {
      return wasReady;
    },
    get lastExit() {
      return lastExit;
    },
    release() {
      released.abort();
      run.opening.abort(new Error('the instance is ending'));
    },
    childEnded: () => run.ended,
  };
}

function msSince(sinceMs: number): number {
  return Math.round(monotonicMs() - sinceMs);
}

/** How a child ended, in words for its owner. */
function wordOf(exit: ChildExit): string {
  if (exit.error !== null) return exit.error;
  if (exit.signal !== null) return `The server was killed by ${exit.signal}`;
  return `The server exited with code ${exit.code}`;
}

/** Resolves once something accepts connections on the loopback port; rejects when the signal aborts. */
async function portAnswers(port: number, signal: AbortSignal): Promise<void> {
  for (let waitMs = 10; ; waitMs = Math.min(waitMs * 1.5, 100)) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(waitMs, signal);
  }
}
