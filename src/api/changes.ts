// GET /stream: what changes among the instances the caller may see, and which other lists are stale. A notification only
// says which row; the row is read again under the caller's rights, so nothing can be learned here that a list would not
// show. What came in quick succession is told once. After a gap the client is told to read its lists again.

import type { Heard } from '../db/listen.ts';
import { readInstanceView } from '../db/queries/instance-views.ts';
import { type EventWritten, type Resource, staleFor } from './changed.ts';
import { viewOf } from './instances.ts';
import { openStream } from './open-stream.ts';
import { type Call, operation } from './operation.ts';
import type { SseEvent } from './streams.ts';

/** Changes that wait for a slow reader; past it the client reads its lists again. */
const waitingMax = 1_000;
/** How long what makes a list stale is gathered before it is told, milliseconds. */
const gatherMs = 300;

export const streamChanges = operation({
  id: 'streamChanges',
  summary:
    'Server-sent events: instance (as it is now), removed (its id), changed (the resource whose lists are stale), resync (read your lists again)',
  streams: true,
  answers: {
    200: { contentType: 'text/event-stream', description: 'instance, removed, changed and resync events' },
  },
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
      const { ids, stale } = pending.take();
      if (ids === 'all') yield { event: 'resync', data: {} };
      else for (const id of ids) yield await eventFor(call, id);
      for (const resource of stale) yield { event: 'changed', data: { resource } };
      if (!signal.aborted) await pending.some();
    }
  } finally {
    unsubscribe();
    pending.end();
  }
}

async function eventFor(call: Call<unknown, unknown, unknown>, id: string): Promise<SseEvent> {
  const row = await call.api.db.as(call.principal, (tx) => readInstanceView(tx, id, call.viewerId));
  if (row === undefined) return { event: 'removed', data: { id } };
  return { event: 'instance', data: viewOf(call, row) };
}

interface Pending {
  readonly hear: (heard: Heard) => void;
  readonly wake: () => void;
  /** What has changed since the last take: ids, or "all" when that is not known any more, and lists that are stale. */
  take(): { readonly ids: readonly string[] | 'all'; readonly stale: readonly Resource[] };
  /** Resolves when there is something to take, or at wake. */
  some(): Promise<void>;
  end(): void;
}

function createPending(viewerId: string | null): Pending {
  let ids = new Set<string>();
  let lost = false;
  let waiting = Promise.withResolvers<void>();
  const wake = (): void => waiting.resolve();
  const gathering = new Set<Resource>();
  let ready: readonly Resource[] = [];
  let timer: NodeJS.Timeout | undefined;
  const gather = (stale: readonly Resource[]): void => {
    for (const resource of stale) gathering.add(resource);
    if (gathering.size === 0) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      ready = [...new Set([...ready, ...gathering])];
      gathering.clear();
      wake();
    }, gatherMs);
  };
  return {
    wake,
    hear(heard) {
      const event = heard.kind === 'change' ? parseEvent(heard.payload) : undefined;
      if (event !== undefined) gather(staleFor(viewerId, event));
      const change = heard.kind === 'change' ? parseChange(heard.payload) : undefined;
      if (heard.kind === 'gap' || (change !== undefined && ids.size >= waitingMax)) {
        lost = true;
        ids.clear();
      } else if (change === undefined || (viewerId !== null && change.user_id !== viewerId)) {
        return;
      } else if (!lost) {
        ids.add(change.instance_id);
        if (viewerId === null) gather(['ports']);
      }
      wake();
    },
    take() {
      const taken = { ids: lost ? ('all' as const) : [...ids], stale: ready };
      ready = [];
      ids = new Set();
      lost = false;
      waiting = Promise.withResolvers<void>();
      return taken;
    },
    some: () => waiting.promise,
    end: () => clearTimeout(timer),
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

/** The same for word of an event of the audit trail. */
function parseEvent(payload: string): EventWritten | undefined {
  try {
    const { event_type: type, user_id: userId } = JSON.parse(payload) as Record<string, unknown>;
    if (typeof type !== 'string') return undefined;
    return { event_type: type, user_id: typeof userId === 'string' ? userId : null };
  } catch {
    return undefined;
  }
}
