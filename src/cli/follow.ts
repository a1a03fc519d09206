// Follows a stream of events across broken connections and restarts of the daemon, from where it broke
// (Last-Event-ID). Gives up when nobody has answered for a minute, or when the API says it will not go on.
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import { ApiError, isTryAgain, parseProblem } from './api-error.ts';
import { readEvents, type SseEvent } from './sse.ts';

/** How long nobody may answer before that counts as a failure. */
export const lostMsMax = 60_000;
export const reconnectMs = 500;

export interface FollowOptions {
  /** The event after which to begin; absent: wherever the API begins. */
  readonly fromId?: string | undefined;
  /** Told when nobody answers any more, and when somebody does again. */
  readonly onLost?: (lost: boolean) => void;
}

/**
 * @param open asks for the stream; `lastId` is empty the first time
 * @param end ends it without an error
 */
export async function* followStream(
  open: (lastId: string, end: AbortSignal) => Promise<Response>,
  end: AbortSignal,
  { fromId = '', onLost }: FollowOptions = {},
): AsyncGenerator<SseEvent> {
  let lastId = fromId;
  let lostAtMs: number | undefined;
  while (!end.aborted) {
    try {
      const response = await open(lastId, end);
      if (lostAtMs !== undefined) onLost?.(false);
      lostAtMs = undefined;
      for await (const event of readEvents(response.body ?? emptyBody())) {
        if (event.event === 'problem') throw asRefusal(event.data);
        if (event.id !== '') lastId = event.id;
        yield event;
        if (end.aborted) return;
      }
    } catch (error) {
      if (end.aborted) return;
      if (!isPassing(error)) throw error;
      if (lostAtMs === undefined) onLost?.(true);
      lostAtMs ??= monotonicMs();
      if (monotonicMs() - lostAtMs > lostMsMax) throw error;
    }
    await sleep(reconnectMs, end).catch(() => undefined);
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

function asRefusal(data: string): ApiError {
  return new ApiError(
    parseProblem(data, { status: 500, title: 'The stream ended', detail: 'the stream ended' }),
  );
}

/** What a stream outlives: a daemon that is being restarted, a broken connection, "not now". */
export function isPassing(error: unknown): boolean {
  if (error instanceof ApiError) return isTryAgain(error);
  return !(error instanceof Fault) || error.code === 'daemon_unreachable';
}
