// Keeps a child alive: starts it, waits until it is ready, starts it again when it dies, and gives up by the restart
// policy. It decides when an instance has failed; how it ends is end.ts. A child that dies before it was ever ready
// is not started again: it would die again.
import { connect } from 'node:net';
import { monotonicMs, sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { StopReason } from '../domain/instance.ts';
import { restartDelayMs } from '../domain/restart.ts';
import { type Child, type ChildExit, startChild } from './child.ts';
import type { LaunchSpec, ShimPhase } from './contract.ts';
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
  readonly onFailed: (reason: StopReason, word: string) => void;
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
/** A child that has closed its standard output but does not leave is of no use to anyone after this. */
const muteMs = 1_000;

type Opened = 'ready' | 'exited' | 'timeout' | { readonly refused: string };

/** Makes the keeper of an instance. */
export function createKeeper(options: KeeperOptions): Keeper {
  const { spec, bridge, say, onPhase, onFailed } = options;
  const released = new AbortController();
  let child = options.first;
  let phase: ShimPhase = 'starting';
  let server: ServerInfo | null = null;
  let restarts = 0;
  let wasReady = false;
  let lastExit: ChildExit | null = null;
  let ended = Promise.resolve();

  const setPhase = (next: ShimPhase): void => {
    if (released.signal.aborted) return;
    phase = next;
    onPhase();
  };

  /** Follows one child to its end. */
  function watch(current: Child): Promise<void> {
    const output = options.readOutput(current);
    if (spec.child.transport === 'stdio') void output.messagesEnded.then(() => leaveOrDie(current));
    return current.exited.then(async (exit) => {
      lastExit = exit;
      bridge.childGone(wordOf(exit));
      current.signal('SIGKILL'); // what it left behind in its group
      await Promise.race([output.ended, sleep(lastWordsMs)]);
      for (const stream of [current.stdout, current.stderr])
        (stream as { destroy?(): void } | null)?.destroy?.();
      await output.ended;
    });
  }

  async function leaveOrDie(current: Child): Promise<void> {
    await Promise.race([current.exited, sleep(muteMs)]);
    if (current.hasExited() || released.signal.aborted) return;
    say('error', 'The server closed its standard output and went on running; it is ended');
    current.signal('SIGKILL');
  }

  async function open(current: Child): Promise<Opened> {
    const stop = new AbortController();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      stop.abort(new Error('start time-out'));
    }, spec.child.startTimeoutMs);
    const onReleased = (): void => stop.abort(new Error('the instance is ending'));
    released.signal.addEventListener('abort', onReleased);
    void current.exited.then(() => stop.abort(new Error('the server has ended')));
    try {
      if (spec.child.httpPort !== undefined) await portAnswers(spec.child.httpPort, stop.signal);
      server = await bridge.open(current.link, stop.signal);
      return 'ready';
    } catch (error) {
      // An end seen by the bridge (a broken pipe) may be ahead of the exit by a moment.
      if (!isLate) await Promise.race([current.exited, sleep(50)]);
      if (current.hasExited()) return 'exited';
      return isLate ? 'timeout' : { refused: messageOf(error) };
    } finally {
      clearTimeout(timer);
      released.signal.removeEventListener('abort', onReleased);
    }
  }

  async function keep(): Promise<void> {
    const startedMs = monotonicMs();
    let tries = 0;
    for (;;) {
      const opened = await open(child);
      const readyMs = monotonicMs();
      if (released.signal.aborted) return;
      if (opened === 'ready') {
        if (!wasReady) say('info', `The server is ready after ${Math.round(readyMs - startedMs)} ms`);
        else say('info', 'The server is ready again');
        wasReady = true;
        setPhase('running');
      } else {
        if (!wasReady) {
          if (child.hasExited()) await ended;
          return onFailed(opened === 'timeout' ? 'start_timeout' : 'start_failed', wordOfOpening(opened));
        }
        say('error', wordOfOpening(opened));
        child.signal('SIGKILL');
      }
      await child.exited;
      if (released.signal.aborted) return;
      setPhase('restarting');
      await ended;
      if (opened === 'ready' && monotonicMs() - readyMs >= spec.restart.resetAfterMs) tries = 0;
      const delayMs = restartDelayMs(spec.restart, tries);
      const word = lastExit ? wordOf(lastExit) : 'The server has ended';
      if (delayMs === undefined) {
        return onFailed(spec.restart.triesMax === 0 ? 'crashed' : 'crash_loop', word);
      }
      say('warn', `${word}; it is started again ${delayMs === 0 ? 'at once' : `in ${delayMs} ms`}`);
      tries += 1;
      restarts += 1;
      if (delayMs > 0) await sleep(delayMs, released.signal).catch(() => {});
      if (released.signal.aborted) return;
      child = startChild(spec.child);
      ended = watch(child);
      onPhase();
    }
  }

  function wordOfOpening(opened: Exclude<Opened, 'ready'>): string {
    if (opened === 'timeout') return `The server did not answer within ${spec.child.startTimeoutMs} ms`;
    if (opened === 'exited')
      return `${lastExit ? wordOf(lastExit) : 'The server has ended'} before it was ready`;
    return `The server could not be opened: ${opened.refused}`;
  }

  return {
    start() {
      ended = watch(child);
      void keep();
    },
    get phase() {
      return released.signal.aborted ? 'stopping' : phase;
    },
    get child() {
      return child;
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
      released.abort(new Error('the instance is ending'));
    },
    childEnded: () => ended,
  };
}

/** How a child ended, in words for its owner. */
export function wordOf(exit: ChildExit): string {
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
