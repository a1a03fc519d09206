// Following a log: what is stored after a line, then what comes, without a gap or a repeat between the two. The
// database is the only source; announcements only say when to look. A slow reader is never read ahead of by more than
// one page.
import { sleep } from '../base/clock.ts';
import type { ChangeFeed } from '../db/listen.ts';
import type { Db, Principal, Queryable } from '../db/pool.ts';
import {
  type LogFilter,
  type LogFinds,
  type LogPlace,
  logsStoredAfter,
  scanLogs,
} from '../db/queries/log-looks.ts';
import { type LogRow, newestLogIdOf } from '../db/queries/logs.ts';

export interface FollowOptions {
  /** Under whose row-level security every page is read. */
  readonly principal: Principal;
  /** The id of the last line seen: everything stored after it follows. Null: from the filter's `since`, or from now on. */
  readonly afterId: string | null;
  readonly filter: LogFilter;
  readonly signal: AbortSignal;
}

export interface LogTail {
  /** Lines in the order they were stored, until the signal aborts; the id of each is where to go on from. */
  follow(options: FollowOptions): AsyncIterable<LogRow>;
}

const pageMax = 200;
/** Longest wait without an announcement before looking anyway. */
const lookAgainMs = 15_000;
/** Many announcements in a row are answered by one look. */
const breatherMs = 50;
const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
/** Smaller than every id. */
const noId = '00000000-0000-7000-8000-000000000000';

type Read = <T>(fn: (q: Queryable) => Promise<T>) => Promise<T>;

/** @param feed announcements on `logChannel` */
export function createLogTail(parts: { readonly db: Db; readonly feed: ChangeFeed }): LogTail {
  return {
    follow: (options) => follow(parts.feed, (fn) => parts.db.as(options.principal, fn), options),
  };
}

async function* follow(feed: ChangeFeed, read: Read, options: FollowOptions): AsyncGenerator<LogRow> {
  const { filter, signal } = options;
  let heard = true;
  let wake = (): void => {};
  const unsubscribe = feed.subscribe((news) => {
    if (news.kind === 'change' && !news.payload.includes(filter.instanceId)) return;
    heard = true;
    wake();
  });
  const nextNews = (): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, lookAgainMs);
      signal.addEventListener('abort', done);
      wake = done;
      if (heard || signal.aborted) done();
    });
  try {
    let afterId = yield* opening(read, options);
    while (!signal.aborted) {
      // Whatever is announced from here on will be looked for once more.
      heard = false;
      const found = await read((q) => logsStoredAfter(q, { ...filter, afterId, limit: pageMax }));
      for (const row of found.rows) {
        if (signal.aborted) return;
        yield row;
      }
      // Past what does not match, too: it is not looked at again.
      afterId = found.seen?.id ?? afterId;
      if (found.more) continue;
      await nextNews();
      await sleep(breatherMs, signal).catch(() => undefined);
    }
  } finally {
    unsubscribe();
  }
}

/** What there is since the filter's `since`, if it has one. @returns the id to follow from */
async function* opening(read: Read, options: FollowOptions): AsyncGenerator<LogRow, string, undefined> {
  const { afterId, filter, signal } = options;
  if (afterId !== null && uuidV7.test(afterId)) return afterId;
  // The place is taken first: lines stored while this reads have larger ids, and are left for the following.
  const place = (await read((q) => newestLogIdOf(q, filter.instanceId))) ?? noId;
  if (filter.since === undefined) return place;
  for (let after: LogPlace | null = null; !signal.aborted; ) {
    const found: LogFinds = await read((q) => scanLogs(q, { ...filter, after, limit: pageMax }));
    for (const row of found.rows) if (row.id <= place) yield row;
    if (!found.more) break;
    after = found.seen;
  }
  return place;
}
