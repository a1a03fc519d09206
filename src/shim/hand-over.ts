// Puts a replaced API key into a running instance: a second child is started with it and opened; once it serves, all
// that is new goes to it, and the old one ends when it owes no answer any more. A key that does not get its child that
// far changes nothing. It goes on to one of the two ends by itself, within bounds, whether or not anyone asks.
import type { Child } from './child.ts';
import { endRun, type Run, type Runs } from './child-run.ts';
import type { ChildSpec, KeyChange, KeyRoll } from './contract.ts';
import type { Bridge, Say, ServerInfo } from './seams.ts';
import type { Tail } from './tail.ts';

export interface HandOverOptions {
  readonly runs: Runs;
  readonly bridge: Bridge;
  readonly say: Say;
  readonly startChild: (spec: ChildSpec) => Child;
  readonly newTail: () => Tail;
  /** Where the last lines of the child that serves go. */
  readonly tail: Tail;
  /** What serves now, and how it was started. Null while nothing does. */
  readonly serving: () => {
    readonly run: Run;
    readonly spec: ChildSpec;
    readonly keyVersion: string | null;
  } | null;
  /** From now on this one is the instance's child. */
  readonly onMoved: (run: Run, spec: ChildSpec, server: ServerInfo, keyVersion: string) => void;
  /** Something is to be told. */
  readonly onChange: () => void;
  readonly released: AbortSignal;
  /** The longest the old child is kept for the calls it has. */
  readonly drainMs: number;
  readonly graceMs: number;
}

export interface HandOver {
  /** Begins, unless the key is the one in use, or another hand-over is under way: `state` tells. */
  begin(change: KeyChange): void;
  /** The last one. */
  state(): KeyRoll | undefined;
}

export function createHandOver(options: HandOverOptions): HandOver {
  const { runs, bridge, say, released } = options;
  let roll: KeyRoll | undefined;

  const set = (version: string, phase: KeyRoll['phase'], lastLines: readonly string[] = []): void => {
    roll = { version, phase, lastLines };
    options.onChange();
  };

  const handOver = async (change: KeyChange): Promise<void> => {
    const { version } = change;
    const before = options.serving();
    if (before === null) return set(version, 'failed', ['The server is not running now']);
    set(version, 'proving');
    say('info', 'A second server is started with the new API key');
    const ownTail = options.newTail();
    let tail = ownTail;
    const spec = { ...before.spec, env: { ...before.spec.env, [change.variable]: change.value } };
    const child = options.startChild(spec);
    const run = runs.follow(child, { push: (line, sizeBytes) => tail.push(line, sizeBytes) });
    const giveUp = (): void => run.opening.abort(new Error('the server that served has ended'));
    released.addEventListener('abort', giveUp, { once: true });
    void before.run.child.exited.then(giveUp);
    const opened = await runs.open(run);
    released.removeEventListener('abort', giveUp);
    if (opened.server === null || before.run.child.hasExited()) {
      const word = opened.server === null ? opened.word : 'The server that served has ended meanwhile';
      child.signal('SIGKILL');
      await run.ended;
      say('warn', `The new API key is not used: ${word}. The server goes on with the old one`);
      ownTail.note(word);
      return set(version, 'failed', ownTail.lines());
    }
    tail = options.tail;
    options.onMoved(run, spec, opened.server, version);
    set(version, 'draining');
    say('info', 'The server with the new API key has taken over');
    await bridge.answered(
      before.run.child.link,
      AbortSignal.any([released, AbortSignal.timeout(options.drainMs)]),
    );
    // At the end of the instance all its children are ended in one way.
    if (!released.aborted) await endRun(before.run, options.graceMs);
    set(version, 'done');
    say('info', 'The server with the old API key has ended');
  };

  return {
    begin(change) {
      if (roll?.phase === 'proving' || roll?.phase === 'draining') return;
      if (options.serving()?.keyVersion === change.version) return;
      handOver(change).catch((error: unknown) => process.emit('uncaughtException', error as Error));
    },
    state: () => roll,
  };
}
