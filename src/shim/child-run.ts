// One start of the child, from its first byte to its last: what it writes is read, it is opened, it is asked to leave.
// It decides nothing: whether a child is started again, or gives way to another, is for keeper.ts and hand-over.ts.
import { connect } from 'node:net';
import { sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Child, ChildExit } from './child.ts';
import type { ChildSpec } from './contract.ts';
import type { Output } from './output.ts';
import type { Bridge, Say, ServerInfo } from './seams.ts';
import type { Tail } from './tail.ts';

export interface Run {
  readonly child: Child;
  /** Aborted when there is no more use in opening it. */
  readonly opening: AbortController;
  /** Resolves when the child is gone, what it wrote is read and nothing of its group is left. */
  readonly ended: Promise<void>;
}

export interface RunsOptions {
  readonly spec: Pick<ChildSpec, 'transport' | 'httpPort' | 'startTimeoutMs'>;
  readonly bridge: Bridge;
  readonly readOutput: (child: Child, tail: Pick<Tail, 'push'>) => Output;
  readonly say: Say;
  /** The instance is ending: what its children do is no more than that. */
  readonly released: AbortSignal;
}

export interface Runs {
  /** Reads what a child writes, from now to its end; its last lines are kept in `tail`. */
  follow(child: Child, tail: Pick<Tail, 'push'>): Run;
  /** Waits until it serves. From then on the bridge sends it all that is new. */
  open(run: Run): Promise<Opened>;
  /** Those that are not over. */
  living(): Run[];
}

/** What the server said of itself, or why there is none, for its owner. */
export type Opened =
  | { readonly server: ServerInfo; readonly isLate?: undefined }
  | { readonly server: null; readonly isLate: boolean; readonly word: string };

/** How long the last words of a dead child are waited for. */
const lastWordsMs = 500;
/** A child that has closed its standard input or output but does not leave is of no use to anyone after this. */
const muteMs = 1_000;
const exitSeenMs = 50;

export function createRuns(options: RunsOptions): Runs {
  const { spec, bridge, say, released } = options;
  const living = new Set<Run>();

  const leaveOrDie = async (child: Child, deed: string): Promise<void> => {
    await Promise.race([child.exited, sleep(muteMs)]);
    // One that was asked to leave has its own time for it.
    if (child.hasExited() || child.isAskedToLeave() || released.aborted) return;
    say('error', `The server ${deed} and went on running; it is ended`);
    child.signal('SIGKILL');
  };

  return {
    follow(child, tail) {
      const opening = new AbortController();
      const output = options.readOutput(child, tail);
      if (spec.transport === 'stdio') {
        void output.messagesEnded.then(() => leaveOrDie(child, 'closed its standard output'));
        void child.inputLost.then(() => leaveOrDie(child, 'closed its standard input'));
      }
      const ended = child.exited.then(async (exit) => {
        opening.abort(new Error(wordOf(exit)));
        bridge.childGone(child.link, wordOf(exit));
        child.signal('SIGKILL'); // what it left behind in its group
        await Promise.race([output.ended, sleep(lastWordsMs)]);
        child.destroyOutput();
        await output.ended;
        living.delete(run);
      });
      const run: Run = { child, opening, ended };
      living.add(run);
      return run;
    },
    async open({ child, opening }) {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        opening.abort(new Error('start time-out'));
      }, spec.startTimeoutMs);
      try {
        if (spec.httpPort !== undefined) await portAnswers(spec.httpPort, opening.signal);
        return { server: await bridge.open(child.link, opening.signal) };
      } catch (error) {
        // A broken pipe may be seen a moment before the exit it comes from.
        if (!isLate) await Promise.race([child.exited, sleep(exitSeenMs)]);
        if (child.hasExited()) isLate = false;
        const word = child.hasExited()
          ? `${wordOf(await child.exited)} before it was ready`
          : isLate
            ? `The server did not answer within ${spec.startTimeoutMs} ms`
            : `The server could not be opened: ${messageOf(error)}`;
        return { server: null, isLate, word };
      } finally {
        clearTimeout(timer);
      }
    },
    living: () => [...living],
  };
}

/** Many servers do not notice the end of their input; those that do leave well within this. */
const inputClosedMs = 1_000;
/** How long a killed child and the last lines of its log may take. */
const killedMs = 1_000;

/**
 * Has a child leave: by itself, told to, made to.
 * @param graceMs up to half of it, at most a second, to leave by itself, the rest after SIGTERM
 */
export async function endRun({ child, ended }: Run, graceMs: number): Promise<void> {
  const byItselfMs = Math.min(graceMs / 2, inputClosedMs);
  const within = (ms: number): Promise<unknown> => Promise.race([child.exited, sleep(ms)]);
  if (!child.hasExited()) {
    child.closeInput();
    await within(byItselfMs);
  }
  if (!child.hasExited()) {
    child.signal('SIGTERM');
    await within(graceMs - byItselfMs);
  }
  // Also when the child has left by itself: what it started may not have.
  child.signal('SIGKILL');
  await Promise.race([ended, sleep(killedMs)]);
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
