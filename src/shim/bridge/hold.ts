// Requests that cannot go on yet, because the child is not ready or does not read: they wait, bounded in number and
// time, and cost nothing but their connection. Who has waited too long is told to try again.
import type { ServerResponse } from 'node:http';
import { codes, isOpen, refuse } from './answers.ts';
import type { Core } from './state.ts';

/** Those who wait for one thing; called when it has come. */
export type Queue = Set<() => void>;

export interface Wait {
  readonly core: Core;
  readonly queue: Queue;
  readonly response: ServerResponse;
  readonly idText: string;
  /** Longest wait in milliseconds. */
  readonly waitMs: number;
  /** What the client is told when it was in vain. */
  readonly reason: string;
  /** Called once it may go on. */
  readonly go: () => void;
}

/** Lets a request wait. */
export function hold({ core, queue, response, idText, waitMs, reason, go }: Wait): void {
  const giveUp = (message: string): void =>
    refuse(response, { status: 503, code: codes.refused, idText, message, retryAfterS: 1, closes: true });
  if (core.draining) return void giveUp('The instance is stopping');
  if (queue.size >= core.bounds.inFlightMax) return void giveUp(reason);
  const end = (): void => {
    clearTimeout(timer);
    queue.delete(on);
    response.removeListener('close', end);
  };
  const on = (): void => {
    end();
    if (!isOpen(response)) return;
    if (core.draining) giveUp('The instance is stopping');
    else go();
  };
  const timer = setTimeout(() => {
    end();
    giveUp(reason);
  }, waitMs);
  queue.add(on);
  response.once('close', end);
}

/** Lets everyone go on who waits in a queue. */
export function letGo(queue: Queue): void {
  for (const on of [...queue]) on();
}
