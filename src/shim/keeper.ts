// Keeps a child alive: starts it, waits until it is ready, starts it again when it dies, and gives up by the restart
// policy. It decides when an instance has failed; how it ends is end.ts. A child that dies before it was ever ready
// is not started again: it would die again.
import { monotonicMs, sleep } from '../base/clock.ts';
import { restartDelayMs } from '../domain/restart.ts';
import { type Child, type ChildExit, startChild } from './child.ts';
import { createRuns, type Run, wordOf } from './child-run.ts';
import type { ChildSpec, ExitRecord, KeyChange, KeyRoll, LaunchSpec, ShimPhase } from './contract.ts';
import { createHandOver } from './hand-over.ts';
import type { Output } from './output.ts';
import type { Bridge, Say, ServerInfo } from './seams.ts';
import type { Tail } from './tail.ts';

export interface KeeperOptions {
  readonly spec: LaunchSpec;
  /** The child that main.ts started before anything else. */
  readonly first: Child;
  readonly bridge: Bridge;
  readonly readOutput: (child: Child, tail: Pick<Tail, 'push'>) => Output;
  /** Where the last lines of its children are kept, and how more such places are made. */
  readonly tail: Tail;
  readonly newTail: () => Tail;
  readonly say: Say;
  readonly onPhase: () => void;
  /** The instance has failed; `word` is for its owner. */
  readonly onFailed: (reason: ExitRecord['reason'], word: string) => void;
}

export interface Keeper {
  readonly phase: ShimPhase;
  /** The one that serves, or is to. */
  readonly child: Child;
  /** How it was started, and would be again. */
  readonly childSpec: ChildSpec;
  readonly keyVersion: string | null;
  /** How the last change of the API key has gone. */
  readonly roll: KeyRoll | undefined;
  readonly server: ServerInfo | null;
  readonly restarts: number;
  readonly wasReady: boolean;
  readonly lastExit: ChildExit | null;
  /** Begins. It goes on until `release`, or until it has called `onFailed`. */
  start(): void;
  /** Has another child take over that knows this API key. */
  changeKey(change: KeyChange): void;
  /** No further start; what the children do from now on is their end. */
  release(): void;
  /** Every child that is not over: one, or two while one takes over from another. */
  living(): Run[];
}

/** Makes the keeper of an instance. */
export function createKeeper(options: KeeperOptions): Keeper {
  const { spec, bridge, say, onPhase, onFailed } = options;
  const released = new AbortController();
  let run: Run = { child: options.first, opening: new AbortController(), ended: Promise.resolve() };
  let replaced = Promise.withResolvers<void>();
  let childSpec = spec.child;
  let keyVersion = spec.keyVersion ?? null;
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

  const runs = createRuns({
    ...{ spec: spec.child, bridge, say, released: released.signal },
    readOutput: options.readOutput,
  });
  const serveWith = (next: Run): void => {
    run = next;
    void next.child.exited.then((exit) => {
      if (next === run) lastExit = exit;
    });
  };
  const handOver = createHandOver({
    ...{ runs, bridge, say, startChild, newTail: options.newTail, tail: options.tail },
    serving: () =>
      phase === 'running' && !released.signal.aborted ? { run, spec: childSpec, keyVersion } : null,
    onMoved(next, nextSpec, nextServer, version) {
      serveWith(next);
      childSpec = nextSpec;
      server = nextServer;
      keyVersion = version;
      replaced.resolve();
      replaced = Promise.withResolvers();
    },
    onChange: onPhase,
    released: released.signal,
    drainMs: spec.bounds.requestTimeoutMs,
    graceMs: spec.graceMs,
  });

  /** Resolves when the child is gone that nothing has taken the place of. @returns since when that one served */
  const outlived = async (readyMs: number): Promise<number> => {
    for (let sinceMs = readyMs; ; sinceMs = monotonicMs()) {
      const mine = run;
      await Promise.race([mine.child.exited, replaced.promise]);
      if (run === mine) return sinceMs;
    }
  };

  const keep = async (): Promise<void> => {
    const startedMs = monotonicMs();
    for (let tries = 0; ; tries += 1) {
      const opened = await runs.open(run);
      let readyMs = monotonicMs();
      if (released.signal.aborted) return;
      if (opened.server !== null) {
        server = opened.server;
        say(
          'info',
          wasReady ? 'The server is ready again' : `The server is ready after ${msSince(startedMs)} ms`,
        );
        wasReady = true;
        setPhase('running');
      } else {
        if (run.child.hasExited()) await run.ended;
        if (!wasReady) {
          onFailed(opened.isLate ? 'start_timeout' : 'start_failed', opened.word);
          return;
        }
        say('error', opened.word);
        run.child.signal('SIGKILL');
      }
      readyMs = await outlived(readyMs);
      setPhase('restarting');
      await run.ended;
      if (opened.server !== null && msSince(readyMs) >= spec.restart.resetAfterMs) tries = 0;
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
    serveWith(runs.follow(startChild(childSpec), options.tail));
    onPhase();
    return true;
  };

  return {
    start() {
      serveWith(runs.follow(options.first, options.tail));
      void keep();
    },
    get phase() {
      return released.signal.aborted ? 'stopping' : phase;
    },
    get child() {
      return run.child;
    },
    get childSpec() {
      return childSpec;
    },
    get keyVersion() {
      return keyVersion;
    },
    get roll() {
      return handOver.state();
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
    changeKey: handOver.begin,
    release() {
      released.abort();
      run.opening.abort(new Error('the instance is ending'));
    },
    living: runs.living,
  };
}

function msSince(sinceMs: number): number {
  return Math.round(monotonicMs() - sinceMs);
}
