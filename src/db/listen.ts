// Listens to PostgreSQL's notifications on a connection of its own, outside the pool, and connects again when it is
// lost. A notification is a hint: whatever was said while nobody listened is gone, and followers are told of the gap.
import { Client, type PoolConfig } from 'pg';
import { sleep } from '../base/clock.ts';
import type { Service } from '../base/service.ts';

/** One notification, or word that some may have been missed. */
export type Heard = { readonly kind: 'change'; readonly payload: string } | { readonly kind: 'gap' };

export interface ChangeFeed {
  /** Calls back for everything heard from now on. @returns a function that ends it */
  subscribe(callback: (heard: Heard) => void): () => void;
}

export interface ListenerOptions {
  readonly connection: Pick<
    PoolConfig,
    'connectionString' | 'host' | 'port' | 'user' | 'password' | 'database'
  >;
  /** A plain identifier; becomes part of a statement. */
  readonly channel: string;
  readonly onError: (error: Error) => void;
}

const retryMsMin = 100;
const retryMsMax = 5_000;
/** A connection the network swallowed says nothing: it is asked this often. */
const probeMs = 30_000;

/** Makes a listener. It starts without waiting for the database and never fails: it tries again. */
export function createListener(options: ListenerOptions): ChangeFeed & Service {
  if (!/^[a-z_]+$/.test(options.channel)) throw new TypeError(`not a channel name: ${options.channel}`);
  const followers = new Set<(heard: Heard) => void>();
  const tell = (heard: Heard): void => {
    for (const follower of followers) follower(heard);
  };
  let stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  return {
    name: `listener ${options.channel}`,
    subscribe(callback) {
      followers.add(callback);
      return () => followers.delete(callback);
    },
    start() {
      stopping = new AbortController();
      running = keepListening(options, tell, stopping.signal);
      return Promise.resolve();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

async function keepListening(
  options: ListenerOptions,
  tell: (heard: Heard) => void,
  signal: AbortSignal,
): Promise<void> {
  let retryMs = retryMsMin;
  while (!signal.aborted) {
    try {
      await listenOnce(options, tell, signal, () => {
        retryMs = retryMsMin;
        tell({ kind: 'gap' });
      });
    } catch (error) {
      if (!signal.aborted) options.onError(error as Error);
    }
    await sleep(retryMs, signal).catch(() => undefined);
    retryMs = Math.min(retryMs * 2, retryMsMax);
  }
}

/** Resolves when the signal aborts, rejects when the connection is lost. */
async function listenOnce(
  options: ListenerOptions,
  tell: (heard: Heard) => void,
  signal: AbortSignal,
  onListening: () => void,
): Promise<void> {
  const client = new Client({
    ...options.connection,
    application_name: 'minimcp listener',
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
  });
  const lost = Promise.withResolvers<never>();
  // Nobody may be waiting for it yet when the connection breaks.
  lost.promise.catch(() => undefined);
  client.on('error', lost.reject);
  client.on('end', () => lost.reject(new Error('the listening connection ended')));
  client.on('notification', (message) => tell({ kind: 'change', payload: message.payload ?? '' }));
  try {
    await client.connect();
    await client.query(`LISTEN ${options.channel}`);
    onListening();
    while (!signal.aborted) {
      await Promise.race([sleep(probeMs, signal).catch(() => undefined), lost.promise]);
      if (!signal.aborted) await client.query('SELECT 1');
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}
