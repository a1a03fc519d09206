// Reading from the API into a component, and keeping it true: `useReading` reads again when the stream says that the
// topic changed, when the connection comes back, and when the path or query changes. What was read stays on screen
// meanwhile; a failure that comes later leaves it there too, and says so.
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { type Answer, get, type ListMeta, type Query } from './api/client.ts';
import { type ApiProblem, problemOf } from './api/problem.ts';
import { every } from './clock.ts';
import { onChange, type Topic } from './live.ts';

export interface Reading<Data> {
  /** undefined until the first answer. */
  readonly data: Data | undefined;
  readonly meta: ListMeta | undefined;
  /** Why the last try failed. */
  readonly problem: ApiProblem | undefined;
  /** What is shown belongs to an earlier path or query; the new one is on its way. */
  readonly isStale: boolean;
  reload(): void;
}

interface ReadingOptions {
  readonly query?: Query;
  /** Topics of the stream after which it is read again. */
  readonly topics?: readonly Topic[];
  /** Read again this often while the page is visible. */
  readonly everySeconds?: number;
  /** Of a list: so many of the API's pages are read as one; default 1. What is left over, `meta` says. */
  readonly pagesMax?: number;
}

interface State<Data> {
  readonly key: string;
  readonly data: Data | undefined;
  readonly meta: ListMeta | undefined;
  readonly problem: ApiProblem | undefined;
}

/** Changes that come in quick succession are read once, this long after the first. */
const gatherMs = 250;

/** @param path below /api/v1; undefined reads nothing (say, when the caller may not) */
export function useReading<Data>(path: string | undefined, options: ReadingOptions = {}): Reading<Data> {
  const key = path === undefined ? '' : `${path} ${JSON.stringify(options.query ?? {})}`;
  const state = useSignal<State<Data>>({ key, data: undefined, meta: undefined, problem: undefined });
  const reload = useRef<() => void>(() => {});
  const topics = options.topics?.join() ?? '';
  // Key stands for path and query, topics for options.topics
  useEffect(() => {
    if (path === undefined) return;
    let running: AbortController | undefined;
    let timer: number | undefined;
    const read = async (): Promise<void> => {
      running?.abort();
      const mine = new AbortController();
      running = mine;
      try {
        const { data, meta } = await readPages<Data>(path, options, mine.signal);
        if (!mine.signal.aborted) state.value = { key, data, meta, problem: undefined };
      } catch (error) {
        if (!mine.signal.aborted) state.value = { ...state.peek(), problem: problemOf(error) };
      }
    };
    const soon = (): void => {
      timer ??= window.setTimeout(() => {
        timer = undefined;
        read();
      }, gatherMs);
    };
    reload.current = read;
    const deaf = onChange((topic) => {
      if (topic === 'all' || topics.split(',').includes(topic)) soon();
    });
    const untick = options.everySeconds === undefined ? undefined : every(options.everySeconds, read);
    read();
    return () => {
      running?.abort();
      window.clearTimeout(timer);
      deaf();
      untick?.();
    };
  }, [key, topics, options.everySeconds]);
  const { key: readKey, ...rest } = state.value;
  return { ...rest, isStale: readKey !== key, reload: () => reload.current() };
}

async function readPages<Data>(
  path: string,
  { query, pagesMax = 1 }: ReadingOptions,
  signal: AbortSignal,
): Promise<Answer<Data>> {
  let answer = await get<Data>(path, { signal, ...(query === undefined ? {} : { query }) });
  for (let pages = 1; pages < pagesMax; pages += 1) {
    const cursor = answer.meta?.next_cursor;
    if (!Array.isArray(answer.data) || cursor == null) break;
    const { data, meta } = await get<unknown[]>(path, { signal, query: { ...query, cursor } });
    answer = { data: [...answer.data, ...data] as Data, meta };
  }
  return answer;
}
