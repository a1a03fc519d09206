// Lets a few starts run at once and the rest wait: twenty starts together are bound by the CPU, and a stampede brings the
// first one ready eight times later than a queue does. People take turns, each with their own starts in order, so that
// one user's fifty hold another's one back by a single start. The queue is bounded; past it, wishes are refused.
import { Fault } from '../base/errors.ts';

export interface Start {
  readonly instanceId: string;
  readonly userId: string | null;
}

export interface Admission {
  /** Waits for a place. Resolves with the function that gives it back, or undefined once aborted. */
  enter(start: Start, signal: AbortSignal): Promise<(() => void) | undefined>;
  /** Throws start_queue_full when another start would wait behind too many. */
  check(): void;
  /** Which place an instance has in the queue, 1 being the next to start; null when it does not wait. */
  position(instanceId: string): number | null;
  readonly running: number;
  readonly waiting: number;
}

interface Waiter extends Start {
  readonly go: () => void;
}

export function createAdmission(atOnceMax: number, waitingMax: number): Admission {
  let running = 0;
  /** Whose turn it is comes first; who has just had one goes to the end. */
  const queues = new Map<string | null, Waiter[]>();

  const waiting = (): number => [...queues.values()].reduce((sum, queue) => sum + queue.length, 0);
  const next = (): Waiter | undefined => {
    for (const [userId, queue] of queues) {
      const waiter = queue.shift();
      queues.delete(userId);
      if (queue.length > 0) queues.set(userId, queue);
      return waiter;
    }
    return undefined;
  };
  const remove = (waiter: Waiter): void => {
    const left = queues.get(waiter.userId)?.filter((other) => other !== waiter) ?? [];
    if (left.length === 0) queues.delete(waiter.userId);
    else queues.set(waiter.userId, left);
  };
  const place = (): (() => void) => {
    running += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      running -= 1;
      next()?.go();
    };
  };

  return {
    get running() {
      return running;
    },
    get waiting() {
      return waiting();
    },
    check() {
      const ahead = waiting();
      if (ahead < waitingMax) return;
      throw new Fault('start_queue_full', `${ahead} starts are waiting on this node`, { retryAfterS: 10 });
    },
    position(instanceId) {
      const order = [...queues.values()];
      const turn = order.findIndex((queue) => queue.some((waiter) => waiter.instanceId === instanceId));
      if (turn < 0) return null;
      const round = order[turn]?.findIndex((waiter) => waiter.instanceId === instanceId) ?? 0;
      // Those whose turn comes earlier have had one more by then.
      return order.reduce((sum, { length }, at) => sum + Math.min(length, at <= turn ? round + 1 : round), 0);
    },
    enter(start, signal) {
      if (signal.aborted) return Promise.resolve(undefined);
      if (running < atOnceMax && queues.size === 0) return Promise.resolve(place());
      return new Promise((resolve) => {
        const waiter: Waiter = {
          ...start,
          go: () => {
            signal.removeEventListener('abort', giveUp);
            resolve(place());
          },
        };
        const giveUp = (): void => {
          remove(waiter);
          resolve(undefined);
        };
        const queue = queues.get(start.userId);
        if (queue === undefined) queues.set(start.userId, [waiter]);
        else queue.push(waiter);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
