// Server-sent events: one place that counts them, keeps them alive, and ends them: when the caller goes, when the API
// closes, when the token stops counting, and when a reader takes nothing any more. Nothing is buffered for a slow reader:
// the source is asked for the next event when the last one is on its way.
import { Readable } from 'node:stream';
import type { Caller } from '../accounts/authenticate.ts';
import { monotonicMs } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import type { ApiLimits } from './context.ts';

export interface SseEvent {
  readonly event?: string;
  /** Comes back as Last-Event-ID. */
  readonly id?: string;
  readonly data: unknown;
}

interface StreamRequest {
  readonly caller: Caller;
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal;
  /** Throws unauthorized or forbidden once the caller may not look any more. */
  readonly recheck: () => Promise<unknown>;
  /** Told of failures that are ours. */
  readonly onBroken: (error: unknown) => void;
  /** Makes the events; must end when its signal aborts. */
  readonly source: (signal: AbortSignal) => AsyncIterable<SseEvent>;
}

export interface Streams {
  /** Opens a stream; rate_limited when the caller or everybody together has too many. */
  open(request: StreamRequest): Readable;
  readonly count: number;
}

export function createStreams(limits: ApiLimits): Streams {
  let count = 0;
  const perCaller = new Map<string, number>();

  const take = (userId: string): (() => void) => {
    const own = perCaller.get(userId) ?? 0;
    if (count >= limits.streamsMax || own >= limits.streamsPerCallerMax) {
      throw new Fault('rate_limited', `${own} of your streams and ${count} in all are open`, {
        retryAfterS: 10,
      });
    }
    count += 1;
    perCaller.set(userId, own + 1);
    return () => {
      count -= 1;
      const left = (perCaller.get(userId) ?? 1) - 1;
      if (left === 0) perCaller.delete(userId);
      else perCaller.set(userId, left);
    };
  };

  return {
    get count() {
      return count;
    },
    open(request) {
      const release = take(request.caller.userId);
      const ending = new AbortController();
      const signal = AbortSignal.any([request.signal, ending.signal]);
      let stalled: NodeJS.Timeout | undefined;
      const watch = (waiting: boolean): void => {
        clearTimeout(stalled);
        if (waiting) stalled = setTimeout(() => stream.destroy(), limits.stallMs);
      };
      const stream = Readable.from(frames(request, limits, signal, watch));
      // Not in the generator: one that was never started runs no finally.
      stream.once('close', () => {
        watch(false);
        ending.abort();
        release();
      });
      return stream;
    },
  };
}

async function* frames(
  request: StreamRequest,
  limits: ApiLimits,
  signal: AbortSignal,
  watch: (waiting: boolean) => void,
): AsyncGenerator<string> {
  try {
    yield 'retry: 2000\n\n';
    let checkedMs = monotonicMs();
    for await (const item of withBeats(request.source(signal), limits.heartbeatMs, signal)) {
      // A stream that is never still is checked as often as one that is.
      if (item === beat || monotonicMs() - checkedMs >= limits.heartbeatMs) {
        await stillAllowed(request);
        checkedMs = monotonicMs();
      }
      watch(true);
      yield item === beat ? ': still here\n\n' : frameOf(item);
      watch(false);
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Fault)) request.onBroken(error);
    // Every event is of the kind that was asked for; why it ended, the next request is told with a status.
    yield `: ${error instanceof Fault ? error.code : 'internal'}\n\n`;
  }
}

/** The database being away is no reason to end a stream: the right to look was checked before and is again next time. */
async function stillAllowed(request: StreamRequest): Promise<void> {
  try {
    await request.recheck();
  } catch (error) {
    if (error instanceof Fault && error.code === 'database_unavailable') return;
    throw error;
  }
}

/** One event in the wire format. JSON has no raw line breaks, so one data line is enough. */
export function frameOf({ event, id, data }: SseEvent): string {
  const lines = [`data: ${JSON.stringify(data)}`];
  if (id !== undefined) lines.unshift(`id: ${id}`);
  if (event !== undefined) lines.unshift(`event: ${event}`);
  return `${lines.join('\n')}\n\n`;
}

export const beat = Symbol('beat');

/** The items of a source, and a beat whenever none came for `everyMs`. Ends with the source or the signal. */
export async function* withBeats<T>(
  source: AsyncIterable<T>,
  everyMs: number,
  signal: AbortSignal,
): AsyncGenerator<T | typeof beat> {
  const iterator = source[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    while (!signal.aborted) {
      const first = await firstOf(next, everyMs, signal);
      if (first === 'aborted') return;
      if (first === beat) {
        yield beat;
        continue;
      }
      if (first.done === true) return;
      yield first.value;
      next = iterator.next();
    }
  } finally {
    // Whoever waits inside the source is woken by the signal; its end is not waited for, and its failure is nobody's.
    next.catch(() => undefined);
    iterator.return?.()?.catch(() => undefined);
  }
}

function firstOf<T>(
  next: Promise<T>,
  everyMs: number,
  signal: AbortSignal,
): Promise<T | typeof beat | 'aborted'> {
  return new Promise((resolve, reject) => {
    const clear = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const settle = (value: T | typeof beat | 'aborted'): void => {
      clear();
      resolve(value);
    };
    const onAbort = (): void => settle('aborted');
    const timer = setTimeout(() => settle(beat), everyMs);
    signal.addEventListener('abort', onAbort, { once: true });
    next.then(settle, (error: unknown) => {
      clear();
      reject(error);
    });
  });
}
