// The one way to the API. Typed by its caller, with the CSRF header on what changes something and an Idempotency-Key on
// every POST, which is repeated under the same key when no answer came. Failures are ApiProblems, nothing else. A 401
// ends the session: the login takes the place of the screen, and the address stays, so that logging in leads back.
import type { Problem, SessionView } from '../../api/contract.ts';
import { learnServerTime, localMs } from '../clock.ts';
import { endedBecause, session } from '../session-state.ts';
import { ApiProblem, unreachable } from './problem.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ListMeta {
  readonly next_cursor: string | null;
  readonly server_time: string;
}

export interface Answer<Data> {
  readonly data: Data;
  /** Of lists only. */
  readonly meta: ListMeta | undefined;
}

interface Options {
  readonly query?: Query;
  readonly signal?: AbortSignal;
  /** A 401 is an answer and not the end of the session. */
  readonly isLogin?: boolean;
}

/** Waits before a POST without an answer is repeated, milliseconds. */
const retryMs = [500, 1_500];

export function urlOf(path: string, query: Query = {}): string {
  const url = new URL(`api/v1${path}`, document.baseURI);
  url.hash = '';
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
  return url.href;
}

/** Reads `path` (below /api/v1). */
export function get<Data>(path: string, options: Options = {}): Promise<Answer<Data>> {
  return call<Data>('GET', path, undefined, options);
}

/** Changes something; answers with the data, undefined where the API sends none. */
export async function send<Data = undefined>(
  method: Exclude<Method, 'GET'>,
  path: string,
  body?: unknown,
  options: Options = {},
): Promise<Data> {
  const once = async (): Promise<Data> => (await call<Data>(method, path, body, options)).data;
  try {
    return await once();
  } catch (error) {
    if (!(error instanceof ApiProblem && error.code === 'csrf_token_wrong')) throw error;
    // Another tab has logged in meanwhile: the cookie is a new one, and so is its token. Nothing was done yet.
    session.value = (await get<SessionView>('/session')).data;
    return once();
  }
}

async function call<Data>(
  method: Method,
  path: string,
  body: unknown,
  options: Options,
): Promise<Answer<Data>> {
  const headers = new Headers({ accept: 'application/json' });
  if (body !== undefined) headers.set('content-type', 'application/json');
  const csrf = session.peek()?.csrf_token;
  if (method !== 'GET' && csrf !== undefined) headers.set('x-csrf-token', csrf);
  if (method === 'POST' && options.isLogin !== true) headers.set('idempotency-key', newKey());
  const init: RequestInit = {
    method,
    headers,
    credentials: 'same-origin',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  const sentMs = localMs();
  const response = await fetchAgain(
    urlOf(path, options.query),
    init,
    headers.has('idempotency-key') ? retryMs : [],
  );
  const document_ = await documentOf(response);
  if (!response.ok) throw refusal(response, document_, options);
  const { data, meta } = (document_ ?? {}) as Answer<Data>;
  const serverTime = meta?.server_time ?? (data as { server_time?: unknown } | undefined)?.server_time;
  if (typeof serverTime === 'string') learnServerTime(serverTime, sentMs);
  return { data, meta };
}

async function fetchAgain(url: string, init: RequestInit, waitsMs: readonly number[]): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const [waitMs, ...rest] = waitsMs;
    if (waitMs === undefined) throw unreachable();
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    return fetchAgain(url, init, rest);
  }
}

async function documentOf(response: Response): Promise<unknown> {
  if (response.status === 204 || !/json/.test(response.headers.get('content-type') ?? '')) return undefined;
  return response.json().catch(() => undefined);
}

function refusal(response: Response, document_: unknown, options: Options): ApiProblem {
  const problem = document_ as Partial<Problem> | undefined;
  if (response.status === 401 && options.isLogin !== true) {
    if (session.peek()) endedBecause.value = 'Your session has ended. Log in again to go on where you were.';
    session.value = null;
  }
  const retryAfterS = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new ApiProblem(
    {
      ...problem,
      status: response.status,
      code: problem?.code ?? (response.status >= 502 ? 'unreachable' : 'internal'),
      title: problem?.title ?? `The daemon answered ${response.status}`,
    },
    Number.isFinite(retryAfterS) ? retryAfterS : undefined,
  );
}

/** Not crypto.randomUUID: it is missing where the page is served over plain HTTP from another machine. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
