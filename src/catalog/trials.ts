// The trials that wait, one after another: a server is started once, and what it showed is kept. Whoever waits for one can
// be told when it is over. One that could not be kept stays waiting, and is begun again at the next start.
import { nowMs } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type ServerType, type Trial, waitingTrial } from '../domain/server-type.ts';
import type { Tried, TryType } from './trial.ts';
import { keepable } from './trial-tools.ts';

export interface Trials {
  /** Takes its place in the line. A type that is in it already is not taken twice. */
  begin(type: ServerType): void;
  /** Resolves when no trial of this type waits or runs, or with the signal. */
  over(name: string, signal: AbortSignal): Promise<void>;
  idle(): Promise<void>;
  close(): Promise<void>;
}

interface TrialsOptions {
  readonly tryType: TryType;
  readonly keep: (type: ServerType, tried: Tried) => Promise<void>;
  readonly log: Logger;
}

export function createTrials({ tryType, keep, log }: TrialsOptions): Trials {
  const closing = new AbortController();
  const pending = new Map<string, Promise<void>>();
  let line = Promise.resolve();

  const run = async (type: ServerType): Promise<void> => {
    if (closing.signal.aborted) return;
    try {
      const tried = await tryType(type, closing.signal).catch((error: unknown) => {
        closing.signal.throwIfAborted();
        const at = new Date(nowMs()).toISOString();
        const trial: Trial = {
          ...waitingTrial,
          state: 'failed',
          at,
          problem: keepable(messageOf(error), 2_000),
        };
        return { trial, era: undefined };
      });
      await keep(type, tried);
      log.info(
        { type: type.name, state: tried.trial.state, tools: tried.trial.tools_total },
        'tried a server',
      );
    } catch (error) {
      if (closing.signal.aborted) return;
      log.warn({ type: type.name, reason: messageOf(error) }, 'what a trial showed could not be kept');
    }
  };

  return {
    begin(type) {
      if (pending.has(type.name) || closing.signal.aborted) return;
      const task = line.then(() => run(type)).finally(() => pending.delete(type.name));
      pending.set(type.name, task);
      line = task;
    },
    async over(name, signal) {
      if (signal.aborted) return;
      let stop = (): void => {};
      const aborted = new Promise<void>((resolve) => {
        stop = resolve;
        signal.addEventListener('abort', stop, { once: true });
      });
      await Promise.race([pending.get(name), aborted]);
      signal.removeEventListener('abort', stop);
    },
    async idle() {
      await line;
    },
    async close() {
      closing.abort();
      await line;
    },
  };
}
