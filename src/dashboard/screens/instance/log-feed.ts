// One log, filtered, as it grows: the newest lines, what is stored after them as it comes, and older ones on request. A
// connection that is lost is made again after the last line that was stored before, so that none is missed; one that comes
// twice is known by its id. The view is told at most once a frame.
import { type Signal, signal } from '@preact/signals';
import type { LogLineView } from '../../../api/contract.ts';
import { get, type Query, urlOf } from '../../api/client.ts';
import { readEvents, type StreamEvent } from '../../api/event-stream.ts';
import { type ApiProblem, problemOf } from '../../api/problem.ts';
import { LogBuffer } from './log-buffer.ts';

export interface LogFeed {
  readonly buffer: LogBuffer;
  /** Grows with every change of the buffer, at most once a frame. */
  readonly version: Signal<number>;
  readonly state: Signal<'reading' | 'live' | 'lost'>;
  readonly problem: Signal<ApiProblem | undefined>;
  /** Whether there are lines older than those held. */
  readonly hasOlder: Signal<boolean>;
  readonly isReadingOlder: Signal<boolean>;
  readOlder(): Promise<void>;
  stop(): void;
}

const pageLines = 500;
const waitMsMax = 10_000;
/** A page nobody looks at gives its connection back after so long. */
const hiddenMs = 60_000;
/** Smaller than every id of a line. */
const noId = '00000000-0000-7000-8000-000000000000';

export function createLogFeed(instanceId: string, filter: Query): LogFeed {
  const path = `/instances/${instanceId}/logs`;
  const buffer = new LogBuffer();
  const version = signal(0);
  const state = signal<'reading' | 'live' | 'lost'>('reading');
  const problem = signal<ApiProblem | undefined>(undefined);
  const hasOlder = signal(false);
  const isReadingOlder = signal(false);
  const ended = new AbortController();
  let streaming: AbortController | undefined;
  let cursor: string | undefined;
  let lastId = noId;
  let timer: number | undefined;
  let failures = 0;
  let frame: number | undefined;

  const draw = (): void => {
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      version.value += 1;
    });
  };
  const again = (work: () => void): void => {
    if (ended.signal.aborted || document.hidden) return;
    state.value = 'lost';
    failures += 1;
    const waitMs = Math.min(waitMsMax, 250 * 2 ** Math.min(failures, 6)) * (0.75 + Math.random() / 2);
    timer = window.setTimeout(work, waitMs);
  };
  const page = async (query: Query): Promise<readonly LogLineView[]> => {
    const { data, meta } = await get<LogLineView[]>(path, { query, signal: ended.signal });
    cursor = meta?.next_cursor ?? undefined;
    hasOlder.value = cursor !== undefined;
    return data.reverse();
  };
  const take = (events: readonly StreamEvent[]): void => {
    const lines = events.map(({ data }) => JSON.parse(data) as LogLineView);
    lastId = events.at(-1)?.id ?? lastId;
    if (buffer.append(lines) > 0) draw();
    // What was dropped at the front can be read again only from the start.
    if (buffer.isFull) hasOlder.value = false;
  };
  const stream = (): void => {
    streaming?.abort();
    const mine = new AbortController();
    streaming = mine;
    readEvents(urlOf(`${path}/stream`, filter), {
      lastId,
      signal: mine.signal,
      onOpen: () => {
        failures = 0;
        state.value = 'live';
      },
      onEvents: take,
    })
      .catch(() => undefined)
      .then(() => mine.signal.aborted || again(reconnect));
  };
  /** A stream does not say why it was refused; a question does, and ends the session if that is the reason. */
  const reconnect = (): void => {
    get(path, { query: { limit: 1 }, signal: ended.signal }).then(stream, (error: unknown) =>
      fail(error, reconnect),
    );
  };
  const fail = (error: unknown, work: () => void): void => {
    if (ended.signal.aborted) return;
    const { status } = problemOf(error);
    if (status === 0 || status >= 500 || status === 429) again(work);
    else problem.value = problemOf(error);
  };
  const begin = async (): Promise<void> => {
    try {
      // The newest line of all is taken first: what is stored from here on comes by the stream, whatever the filter.
      const newest = await get<LogLineView[]>(path, { query: { limit: 1 }, signal: ended.signal });
      lastId = newest.data[0]?.id ?? noId;
      buffer.append(await page({ ...filter, limit: pageLines }));
      problem.value = undefined;
      draw();
      stream();
    } catch (error) {
      fail(error, begin);
    }
  };
  const look = (): void => {
    window.clearTimeout(timer);
    if (document.hidden) {
      timer = window.setTimeout(() => {
        streaming?.abort();
        streaming = undefined;
        state.value = 'lost';
      }, hiddenMs);
    } else if (state.peek() !== 'live') {
      if (buffer.size > 0) reconnect();
      else begin();
    }
  };
  document.addEventListener('visibilitychange', look);
  begin();
  return {
    ...{ buffer, version, state, problem, hasOlder, isReadingOlder },
    async readOlder() {
      if (isReadingOlder.peek() || cursor === undefined || buffer.isFull) return;
      isReadingOlder.value = true;
      try {
        buffer.prepend(await page({ ...filter, limit: pageLines, cursor }));
        problem.value = undefined;
        draw();
      } catch (error) {
        if (!ended.signal.aborted) problem.value = problemOf(error);
      } finally {
        isReadingOlder.value = false;
      }
    },
    stop() {
      ended.abort();
      streaming?.abort();
      window.clearTimeout(timer);
      if (frame !== undefined) cancelAnimationFrame(frame);
      document.removeEventListener('visibilitychange', look);
    },
  };
}
