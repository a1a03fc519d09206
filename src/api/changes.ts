// GET /stream: what changes among the instances the caller may see. A notification only says which row; the row is read
// again under the caller's rights, so nothing can be learned here that a list would not show. What came in quick
// succession is told once. After a gap the client is told to read its lists again.

import type { Heard } from '../db/listen.ts';
import { readInstanceView } from '../db/queries/instance-views.ts';
import { openStream } from './open-stream.ts';
import { type Call, operation } from './operation.ts';
import type { SseEvent } from './streams.ts';
import { instanceView } from './views.ts';

/** Changes that wait for a slow reader; past it the client reads its lists again. */
const waitingMax = 1_000;

export const streamChanges = operation({
  id: 'streamChanges',
  summary: 'Server-sent events: instance (as it is now), removed (its id), resync (read your lists again)',
  streams: true,
  answers: { 200: { contentType: 'text/event-stream', description: 'instance, removed and resync events' } },
  handle: (call) => openStream(call, (signal) => changesFor(call, signal)),
});

async function* changesFor(
  call: Call<unknown, unknown, unknown>,
  signal: AbortSignal,
): AsyncGenerator<SseEvent> {
  const pending = createPending(call.viewerId);
  const unsubscribe = call.api.changes.subscribe(pending.hear);
  signal.addEventListener('abort', pending.wake, { once: true });
  try {
    // Whatever changed before this was subscribed is in the lists.
    yield { event: 'resync', data: {} };
    while (!signal.aborted) {
      const ids = pending.take();
      if (ids === 'all') yield { event: 'resync', data: {} };
      else for (const id of ids) yield await eventFor(call, id);
      if (!signal.aborted) await pending.some();
    }
  } finally {
    unsubscribe();
  }
}

async function eventFor(call: Call<unknown, unknown, unknown>, id: string): Promise<SseEvent> {
  const row = await call.api.db.as(call.principal, (tx) => readInstanceView(tx, id, call.viewerId));
  if (row === undefined) return { event: 'removed', data: { id } };
  return { event: 'instance', data: instanceView(row) };
}

interface Pending {
  readonly hear: (heard: Heard) => void;
  readonly wake: () => void;
  /** What has changed since the last take: ids, or "all" when that is not known any more. */
  take(): readonly string[] | 'all';
  /** Resolves when there is something to take, or at wake. */
  some(): Promise<void>;
}

function createPending(viewerId: string | null): Pending {
  let ids = new Set<string>();
  let lost = false;
  let waiting = Promise.withResolvers<void>();
  const wake = (): void => waiting.resolve();
  return {
    wake,
    hear(heard) {
      const change = heard.kind === 'change' ? parseChange(heard.payload) : undefined;
      if (heard.kind === 'gap' || (change !== undefined && ids.size >= waitingMax)) {
        lost = true;
        ids.clear();
      } else if (change === undefined || (viewerId !== null && change.user_id !== viewerId)) {
        return;
      } else if (!lost) {
        ids.add(change.instance_id);
      }
      wake();
    },
    take() {
      const taken = lost ? 'all' : [...ids];
      ids = new Set();
      lost = false;
      waiting = Promise.withResolvers<void>();
      return taken;
    },
    some: () => waiting.promise,
  };
}

/** Undefined for what is not ours to read: another program may notify on the same channel. */
export function parseChange(payload: string): { instance_id: string; user_id: string | null } | undefined {
  try {
    const { instance_id, user_id } = JSON.parse(payload) as Record<string, unknown>;
    if (typeof instance_id !== 'string' || !/^[0-9a-f-]{36}$/.test(instance_id)) return undefined;
    return { instance_id, user_id: typeof user_id === 'string' ? user_id : null };
  } catch {
    return undefined;
  }
}
