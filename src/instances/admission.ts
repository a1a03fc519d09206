// Lets a few starts run at once and the rest wait in order: twenty starts together are bound by the CPU, and a stampede
// brings the first one ready eight times later than a queue does. The queue is bounded; past it, wishes are refused.
import { Fault } from '../base/errors.ts';

export interface Admission {
  /** Waits for a place, in order. Resolves with the function that gives it back, or undefined once aborted. */
  enter(signal: AbortSignal): Promise<(() => void) | undefined>;
  /** Throws start_queue_full when another start would wait behind too many. */
  check(): void;
  readonly running: number;
  readonly waiting: number;
}

export function createAdmission(atOnceMax: number, waitingMax: number): Admission {
  let running = 0;
  const queue: (() => void)[] = [];

  const leave = (): void => {
    running -= 1;
    queue.shift()?.();
  };
  const place = (): (() => void) => {
    running += 1;
    let held = true;
    return () => {
      if (held) leave();
      held = false;
    };
  };

  return {
    get running() {
      return running;
    },
    get waiting() {
      return queue.length;
    },
    check() {
      if (queue.length < waitingMax) return;
      throw new Fault('start_queue_full', `${queue.length} starts are waiting on this node`, {
        retryAfterS: 10,
      });
    },
    enter(signal) {
      if (signal.aborted) return Promise.resolve(undefined);
      if (running < atOnceMax && queue.length === 0) return Promise.resolve(place());
      return new Promise((resolve) => {
        const go = (): void => {
          signal.removeEventListener('abort', giveUp);
          resolve(place());
        };
        const giveUp = (): void => {
          const at = queue.indexOf(go);
          if (at >= 0) queue.splice(at, 1);
          resolve(undefined);
        };
        queue.push(go);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
