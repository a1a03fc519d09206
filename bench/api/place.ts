// Where a server of this bench is, and how it is asked: over connections that stay open, so many requests at a time.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { monotonicMs } from '../../src/base/clock.ts';
import type { DbOptions } from '../../src/db/pool.ts';

export interface ApiPlace {
  readonly url: string;
  readonly token: string;
  readonly nodeId: string;
  readonly connection: DbOptions['connection'];
}

export interface Served<Place> extends AsyncDisposable {
  readonly place: Place;
  readonly pid: number;
}

/** Starts a program of this folder that says where it is. */
export async function serve<Place>(program: string, ...args: readonly string[]): Promise<Served<Place>> {
  const child: ChildProcess = fork(fileURLToPath(new URL(program, import.meta.url)), args);
  const place = await Promise.race([
    once(child, 'message').then(([said]) => said as Place),
    once(child, 'exit').then(() => Promise.reject(new Error(`${program} ended before it was ready`))),
  ]);
  return {
    place,
    pid: child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit');
      child.send('end');
      await gone;
    },
  };
}

export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly token?: string;
  readonly body?: unknown;
}

const agent = new Agent({ keepAlive: true, maxSockets: 128 });

/** One request. @returns the status and the text of the answer */
export function ask(
  url: string,
  { method = 'GET', path, token, body }: Ask,
): Promise<{ status: number; text: string }> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(text === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
  };
  return new Promise((resolve, reject) => {
    request(`${url}${path}`, { method, headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
      response.on('error', reject);
    })
      .on('error', reject)
      .end(text);
  });
}

/** Asks so many times, so many at a time. @returns how long each took, and all of them */
export async function timed(
  count: number,
  inFlight: number,
  once_: (nth: number) => Promise<unknown>,
): Promise<{ tookMs: number[]; elapsedMs: number }> {
  const tookMs: number[] = [];
  let begun = 0;
  const startMs = monotonicMs();
  const asker = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      const nth = begun;
      const beganMs = monotonicMs();
      await once_(nth);
      tookMs.push(monotonicMs() - beganMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, asker));
  return { tookMs, elapsedMs: monotonicMs() - startMs };
}
