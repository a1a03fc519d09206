// Keeps one control connection to every living shim: connects as soon as its socket is there, connects again when it
// breaks, and says "ended" once the process is proved gone. A broken connection alone ends nothing.
import { type FSWatcher, watch } from 'node:fs';
import { monotonicMs, sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { bundleFiles } from '../shim/contract.ts';
import { bundleDir } from './bundle-names.ts';
import type { Handle, News } from './driver.ts';
import { isSame } from './process-identity.ts';
import { connectShim, type ShimClient, ShimRefusal, ShimSilence } from './shim-client.ts';

export interface LinksOptions {
  readonly dataDir: string;
  readonly epoch: () => number;
  readonly log: Logger;
  readonly onNews: (news: News) => void;
}

export interface Links {
  /** Follows a shim until it ends. Safe to call again. */
  follow(handle: Handle): void;
  /** The connection to a shim, waiting for it for at most `ms`. @throws ShimSilence, ShimRefusal */
  client(handle: Handle, ms: number): Promise<ShimClient>;
  /** Something happened to the process: look now. */
  nudge(handle: Handle): void;
  /** Stops following; nothing is said about it any more. */
  drop(handle: Handle): void;
  followed(): Handle[];
  close(): void;
}

export function keyOf({ instanceId, generation }: Pick<Handle, 'instanceId' | 'generation'>): string {
  return `${instanceId}/${generation}`;
}

interface Link {
  readonly handle: Handle;
  readonly over: AbortController;
  client: ShimClient | undefined;
  /** Why there will be no connection although the process lives. */
  refusal: ShimRefusal | undefined;
  /** Ends the current wait. */
  wake: () => void;
  readonly waiting: Set<() => void>;
}

const retryMsMin = 25;
const retryMsMax = 5_000;

export function createLinks(options: LinksOptions): Links {
  const links = new Map<string, Link>();

  const drop = (link: Link): void => {
    link.over.abort();
    link.client?.close();
    const key = keyOf(link.handle);
    if (links.get(key) === link) links.delete(key);
    for (const settled of link.waiting) settled();
  };

  const follow = (handle: Handle): Link => {
    const known = links.get(keyOf(handle));
    if (known !== undefined) return known;
    const link: Link = {
      handle,
      over: new AbortController(),
      client: undefined,
      refusal: undefined,
      wake: () => {},
      waiting: new Set(),
    };
    links.set(keyOf(handle), link);
    void keep(options, link)
      .catch((error: unknown) =>
        options.log.error({ err: error, instance: handle.instanceId }, 'a shim is no longer followed'),
      )
      .finally(() => drop(link));
    return link;
  };

  return {
    follow: (handle) => void follow(handle),
    client: (handle, ms) => clientOf(follow(handle), ms),
    nudge: (handle) => links.get(keyOf(handle))?.wake(),
    drop(handle) {
      const link = links.get(keyOf(handle));
      if (link !== undefined) drop(link);
    },
    followed: () => [...links.values()].map(({ handle }) => handle),
    close() {
      for (const link of [...links.values()]) drop(link);
    },
  };
}

async function clientOf(link: Link, ms: number): Promise<ShimClient> {
  const dueMs = monotonicMs() + ms;
  for (;;) {
    if (link.client !== undefined) return link.client;
    if (link.refusal !== undefined) throw link.refusal;
    const leftMs = dueMs - monotonicMs();
    if (link.over.signal.aborted || leftMs <= 0) throw new ShimSilence('there is no connection to the shim');
    await new Promise<void>((resolve) => {
      const settled = (): void => {
        clearTimeout(timer);
        link.waiting.delete(settled);
        resolve();
      };
      const timer = setTimeout(settled, leftMs);
      link.waiting.add(settled);
    });
  }
}

async function keep(options: LinksOptions, link: Link): Promise<void> {
  const { handle } = link;
  const dir = bundleDir(options.dataDir, handle);
  let retryMs = retryMsMin;
  while (!link.over.signal.aborted) {
    if (!isSame(handle)) {
      drain(link);
      options.onNews({ instanceId: handle.instanceId, generation: handle.generation, kind: 'ended' });
      return;
    }
    try {
      await serve(options, link, dir);
      retryMs = retryMsMin;
      await untilEnded(handle, link.over.signal);
    } catch (error) {
      if (error instanceof ShimRefusal) {
        // Asked again and again, for another supervisor may come; said once.
        if (link.refusal?.code !== error.code) {
          options.log.error(
            { instance: handle.instanceId, code: error.code, reason: error.message },
            'a shim refuses this supervisor; it is left to serve until its lease ends',
          );
        }
        link.refusal = error;
        drain(link);
        if (error.code === 'fenced') return;
      } else if (!(error instanceof ShimSilence)) {
        options.log.warn(
          { instance: handle.instanceId, reason: messageOf(error) },
          'a shim cannot be reached',
        );
      }
      await untilChange(link, dir, retryMs);
      retryMs = Math.min(retryMs * 2, retryMsMax);
    }
  }
}

/** Holds one connection until it ends. */
async function serve(options: LinksOptions, link: Link, dir: string): Promise<void> {
  const { handle } = link;
  const { instanceId, generation, uid } = handle;
  const client = await connectShim({
    bundleDir: dir,
    instanceId,
    generation,
    uid,
    epoch: options.epoch(),
    onNews: (news) => {
      if (news.news === 'spooled') options.onNews({ instanceId, generation, kind: 'spooled' });
      else options.onNews({ instanceId, generation, kind: 'state', shim: news.state });
    },
  });
  if (link.over.signal.aborted) return client.close();
  link.client = client;
  link.refusal = undefined;
  drain(link);
  options.onNews({ instanceId, generation, kind: 'state', shim: client.first });
  try {
    await client.closed;
  } finally {
    link.client = undefined;
  }
}

function drain(link: Link): void {
  for (const settled of [...link.waiting]) settled();
}

/** A process whose connection broke is mostly about to end: looks closely for a moment. */
async function untilEnded(handle: Handle, signal: AbortSignal): Promise<void> {
  for (let waitMs = 1; waitMs < 300 && isSame(handle) && !signal.aborted; waitMs *= 2) await sleep(waitMs);
}

/** Waits for the socket to appear, a nudge, or the time. */
async function untilChange(link: Link, dir: string, ms: number): Promise<void> {
  let watcher: FSWatcher | undefined;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const settle = (): void => {
      clearTimeout(timer);
      resolve();
    };
    link.wake = settle;
    link.over.signal.addEventListener('abort', settle, { once: true });
    try {
      watcher = watch(dir, (_event, name) => {
        if (name === bundleFiles.controlSocket) settle();
      });
      watcher.on('error', () => {});
    } catch {
      // No watches left, or the directory is gone: the time decides.
    }
  });
  link.wake = () => {};
  watcher?.close();
}
