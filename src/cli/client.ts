// The CLI's door to the API: sends, reads answers, follows streams. Its failures: Fault daemon_unreachable when nobody
// answers, ApiError for what the API refused.
import { Fault, messageOf } from '../base/errors.ts';
import { readRefusal } from './api-error.ts';
import { type CliConfig, findDaemon, type Target } from './find-daemon.ts';
import { type FollowOptions, followStream } from './follow.ts';
import type { SseEvent } from './sse.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface SendOptions {
  readonly query?: Query;
  readonly body?: unknown;
  /** How long the API may hold the answer until the instance is running or failed, seconds. */
  readonly waitS?: number;
  /** How long the work itself may take before there is an answer, seconds; default: at once. */
  readonly worksS?: number;
}

interface Page<T> {
  readonly data: T[];
  readonly meta: { readonly next_cursor: string | null; readonly server_time: string };
}

/** Paths start after /api/v1. */
export interface Api {
  /** One request; the whole answer, null when it has no body. */
  send<T>(method: Method, path: string, options?: SendOptions): Promise<T>;
  /** The object of an answer. */
  one<T>(method: Method, path: string, options?: SendOptions): Promise<T>;
  /** A list, page after page: all of it, or the first `max` entries. */
  all<T>(path: string, query?: Query, max?: number): Promise<Page<T>>;
  /** An answer of any size, as it comes. */
  download(path: string, query?: Query): AsyncGenerator<Uint8Array>;
  /** Events of a stream, across broken connections, until the signal aborts. */
  follow(path: string, query: Query, signal: AbortSignal, options?: FollowOptions): AsyncGenerator<SseEvent>;
}

const answerTimeoutMs = 30_000;
const pageEntriesMax = 200;
const listEntriesMax = 100_000;

/** The client for the daemon that `config` points at. Looks for it at the first request. */
export function createApi(config: CliConfig, signal?: AbortSignal): Api {
  let target: Promise<Target> | undefined;
  const request = async (method: Method, path: string, options: RequestOptions): Promise<Response> => {
    target ??= findDaemon(config);
    const { url, token } = await target;
    const headers = new Headers({ ...options.headers, authorization: `Bearer ${token}` });
    if (options.body !== undefined) headers.set('content-type', 'application/json');
    if (options.waitS !== undefined) headers.set('prefer', `wait=${options.waitS}`);
    const response = await fetch(address(url, path, options.query), {
      method,
      headers,
      signal: options.end,
      // A redirect could carry the token to someone else.
      redirect: 'error',
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    }).catch((error: unknown) => {
      // Started again, it may stand elsewhere: the next request looks for it anew.
      target = undefined;
      throw unreachable(error, url, signal);
    });
    if (!response.ok) throw await readRefusal(response);
    return response;
  };

  const send = async <T>(method: Method, path: string, options: SendOptions = {}): Promise<T> => {
    const timeout = AbortSignal.timeout(
      answerTimeoutMs + ((options.waitS ?? 0) + (options.worksS ?? 0)) * 1_000,
    );
    const end = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
    const response = await request(method, path, {
      ...options,
      end,
      headers: { accept: 'application/json' },
    });
    const text = await response.text().catch((error: unknown) => {
      throw unreachable(error, response.url, signal);
    });
    return (text === '' ? null : parse(text, response.url)) as T;
  };

  const open = (path: string, query: Query) => (lastId: string, end: AbortSignal) =>
    request('GET', path, {
      query,
      end,
      headers: { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) },
    });

  return {
    send,
    one: async <T>(method: Method, path: string, options?: SendOptions) =>
      (await send<{ data: T }>(method, path, options)).data,
    all: (path, query = {}, max = listEntriesMax) => allPages(send, path, query, max),
    async *download(path, query = {}) {
      const response = await request('GET', path, {
        query,
        end: signal ?? new AbortController().signal,
        headers: {},
      });
      if (response.body !== null) yield* response.body;
    },
    follow: (path, query, end, options = {}) => followStream(open(path, query), end, options),
  };
}

interface RequestOptions extends SendOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly end: AbortSignal;
}

async function allPages<T>(send: Api['send'], path: string, query: Query, max: number): Promise<Page<T>> {
  const limit = Math.min(max, pageEntriesMax);
  const first = await send<Page<T>>('GET', path, { query: { limit, ...query } });
  const data = [...first.data];
  let cursor = first.meta.next_cursor;
  while (cursor !== null && data.length < max) {
    const page = await send<Page<T>>('GET', path, { query: { limit, ...query, cursor } });
    data.push(...page.data);
    cursor = page.meta.next_cursor;
  }
  return { data: data.slice(0, max), meta: { ...first.meta, next_cursor: cursor } };
}

function address(base: string, path: string, query: Query = {}): string {
  const url = new URL(`${base.replace(/\/+$/, '')}/api/v1${path}`);
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(key, String(value));
  }
  return url.href;
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault('daemon_unreachable', `${url} answered something that is not JSON: is it a MiniMCP?`);
  }
}

function unreachable(error: unknown, url: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : messageOf(cause);
  return new Fault('daemon_unreachable', `nothing answers at ${url} (${why})`, { cause: error });
}
