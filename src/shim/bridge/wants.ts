// What each session asked to hear: resource subscriptions and log levels. The child is subscribed once for all and
// logs at the lowest level anyone wants; each session gets only what it asked for.
import { addCall, removeCall, toChild } from './calls.ts';
import type { Json } from './messages.ts';
import { ownId } from './server-requests.ts';
import type { Call, Core, Listener, Session, Taker } from './state.ts';

/** Resources one client may be subscribed to, and the longest URI that is kept. */
export const subscriptionsMax = 1_000;
export const uriLengthMax = 8_192;

export const logLevels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

/** What a session hears that never set a level, once another one has. */
const usualLevel = logLevels.indexOf('info');

/** Whether another session is subscribed to the resource already. */
export function isSubscribedElsewhere(core: Core, besides: Session | Listener, uri: string): boolean {
  for (const other of core.sessions.values())
    if (other !== besides && other.subscriptions.has(uri)) return true;
  for (const other of core.listeners) if (other !== besides && other.subscriptions.has(uri)) return true;
  return false;
}

/** Sessions that want to hear of a resource: subscribed to it, or to what it is part of. */
export function subscribersOf(core: Core, uri: string): Session[] {
  return [...core.sessions.values()].filter((session) => {
    if (session.subscriptions.has(uri)) return true;
    for (const wanted of session.subscriptions) if (uri.startsWith(wanted)) return true;
    return false;
  });
}

/** The lowest level any session wants; null while none has said. */
export function lowestLevel(core: Core, besides?: Session): number | null {
  let lowest: number | null = null;
  let silent = false;
  for (const session of core.sessions.values()) {
    if (session === besides) continue;
    if (session.logLevel === null) silent = true;
    else if (lowest === null || session.logLevel < lowest) lowest = session.logLevel;
  }
  return lowest !== null && silent ? Math.min(lowest, usualLevel) : lowest;
}

/** Whether a session wants a log message of that level. */
export function wantsLevel(core: Core, session: Session, level: unknown): boolean {
  const at = logLevels.indexOf(String(level));
  const wanted = session.logLevel ?? (lowestLevel(core) === null ? 0 : usualLevel);
  return at === -1 || at >= wanted;
}

/** A session is gone: what only it wanted is taken back. Call it after the session has left the books. */
export function forgetWants(core: Core, session: Session): void {
  if (core.server === null) return;
  for (const uri of session.subscriptions)
    if (!isSubscribedElsewhere(core, session, uri)) tellChild(core, 'resources/unsubscribe', { uri });
  const level = lowestLevel(core);
  if (session.logLevel === null || level === null || level === core.childLevel) return;
  core.childLevel = level;
  tellChild(core, 'logging/setLevel', { level: logLevels[level] });
}

/** Books what the child's answer has settled. */
export function settleWants(core: Core, call: Call, failed: boolean): void {
  const { session, subject } = call;
  if (session === null || subject === null) return;
  if (call.method === 'resources/subscribe' && failed) session.subscriptions.delete(subject);
  if (call.method === 'logging/setLevel' && failed) core.childLevel = null;
}

/** A request of the shim's own whose answer changes nothing. */
export function tellChild(core: Core, method: string, params: Json): void {
  const taker: Taker = {
    answer: (call) => void removeCall(core, call),
    notify: () => {},
    ask: () => false,
    isParked: () => false,
  };
  const call = addCall(core, { idText: ownId, method, session: null, response: null, taker });
  toChild(core, JSON.stringify({ jsonrpc: '2.0', id: call.childId, method, params }));
}

/** A client's progress token as JSON text; null for none, and for what is none. */
export function tokenTextOf(token: unknown): string | null {
  if (typeof token === 'string') return token.length <= 1024 ? JSON.stringify(token) : null;
  return typeof token === 'number' ? JSON.stringify(token) : null;
}
