// What changes, as it changes: one stream of events drives the whole page. It reconnects with back-off, and says when
// something may have been missed, so that what is on screen reads itself again. A page nobody looks at lets go of its
// stream after a while: browsers give all tabs of an origin only six connections.
import { effect, signal } from '@preact/signals';
import type { InstanceView } from '../api/contract.ts';
import { get, urlOf } from './api/client.ts';
import { session } from './session-state.ts';

/** idle: nobody is logged in, or the page has long been hidden. */
export const connection = signal<'idle' | 'connecting' | 'live' | 'lost'>('idle');

/** The newest view of every instance that the stream or an action has told of. */
const newest = signal<ReadonlyMap<string, InstanceView>>(new Map());
/** Ids of instances that are gone. */
export const removed = signal<ReadonlySet<string>>(new Set());

/** Parts of the API whose lists can go stale. */
export type Topic = 'instances' | (string & {});
type Listener = (topic: Topic | 'all') => void;
const listeners = new Set<Listener>();

/** Calls `listener` when something of a topic changed, or "all" when anything may have. @returns a function that ends it */
export function onChange(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(topic: Topic | 'all'): void {
  for (const listener of listeners) listener(topic);
}

/** The newest view of an instance: this one, or a newer one that was heard of since. */
export function latest(instance: InstanceView): InstanceView {
  const heard = newest.value.get(instance.id);
  return heard !== undefined && heard.server_time > instance.server_time ? heard : instance;
}

/** Takes in a view from the stream or from an action's answer. An older one than is known changes nothing. */
export function absorb(view: InstanceView): void {
  const known = newest.peek().get(view.id);
  if (known !== undefined && known.server_time > view.server_time) return;
  newest.value = new Map(newest.peek()).set(view.id, view);
  // What it uses changes all the time and is read on its own; only what moves it in a list is told.
  if (known === undefined || known.status !== view.status || known.expires_at !== view.expires_at)
    tell('instances');
}

export function forget(id: string): void {
  removed.value = new Set(removed.peek()).add(id);
  tell('instances');
}

const waitMsMax = 15_000;
const hiddenMs = 60_000;

let source: EventSource | undefined;
let retry: number | undefined;
let failures = 0;

function connect(): void {
  source?.close();
  window.clearTimeout(retry);
  if (connection.peek() !== 'lost') connection.value = 'connecting';
  const opened = new EventSource(urlOf('/stream'));
  source = opened;
  const hear = <Data>(name: string, take: (data: Data) => void): void => {
    opened.addEventListener(name, (event) => take(JSON.parse((event as MessageEvent<string>).data)));
  };
  hear<InstanceView>('instance', absorb);
  hear<{ id: string }>('removed', ({ id }) => forget(id));
  hear<{ resource: string }>('changed', ({ resource }) => tell(resource));
  // Comes first on every connection, and whenever the daemon cannot say what was missed.
  hear('resync', () => tell('all'));
  opened.addEventListener('open', () => {
    failures = 0;
    connection.value = 'live';
  });
  opened.addEventListener('error', () => {
    opened.close();
    if (source === opened) lose();
  });
}

function lose(): void {
  source = undefined;
  connection.value = 'lost';
  failures += 1;
  const waitMs = Math.min(waitMsMax, 500 * 2 ** Math.min(failures, 6)) * (0.75 + Math.random() / 2);
  retry = window.setTimeout(() => {
    // An EventSource does not say why it failed; this does, and ends the session if that is the reason.
    get('/session').then(
      () => session.peek() && connect(),
      () => session.peek() && lose(),
    );
  }, waitMs);
}

function disconnect(): void {
  source?.close();
  source = undefined;
  window.clearTimeout(retry);
  failures = 0;
  connection.value = 'idle';
}

/** Follows the session: a stream while somebody is logged in, none and nothing remembered otherwise. */
export function startLive(): void {
  let hiding: number | undefined;
  effect(() => {
    if (session.value) return connect();
    disconnect();
    newest.value = new Map();
    removed.value = new Set();
  });
  document.addEventListener('visibilitychange', () => {
    window.clearTimeout(hiding);
    if (!session.peek()) return;
    if (document.hidden) hiding = window.setTimeout(disconnect, hiddenMs);
    else if (connection.peek() !== 'live') connect();
  });
  addEventListener('online', () => session.peek() && connection.peek() !== 'live' && connect());
}
