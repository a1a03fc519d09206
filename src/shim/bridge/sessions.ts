// The legacy clients: made by initialize, found by Mcp-Session-Id, ended by DELETE, by idling, by the child's death or
// by giving way to a newer one. Ending a session never touches the child beyond its subscriptions and log level.
import { randomUUID } from 'node:crypto';
import { monotonicMs } from '../../base/clock.ts';
import { isOpen } from './answers.ts';
import { clearEvents } from './event-store.ts';
import type { Core, Session } from './state.ts';

/**
 * Makes a session that initialize has yet to describe; null when there are too many and none can give way.
 * @param end ends one that must
 */
export function createSession(core: Core, sse: boolean, end: (session: Session) => void): Session | null {
  if (core.sessions.size >= core.bounds.sessionsMax) {
    const oldest = leastUsed(core);
    if (oldest === null) return null;
    end(oldest);
  }
  const session: Session = {
    id: randomUUID(),
    version: '2024-11-05',
    capabilities: {},
    own: {
      no: 0,
      session: null,
      response: null,
      openCalls: Number.POSITIVE_INFINITY,
      lastEvent: 0,
      sentEvent: 0,
    },
    listeners: [],
    streams: new Map(),
    events: [],
    eventBytes: 0,
    nextStream: 1,
    calls: new Set(),
    subscriptions: new Set(),
    logLevel: null,
    usedMs: monotonicMs(),
    sse,
  };
  (session.own as { session: Session | null }).session = session;
  core.sessions.set(session.id, session);
  return session;
}

/** Takes a session out of the books and ends its streams. */
export function removeSession(core: Core, session: Session): void {
  core.sessions.delete(session.id);
  clearEvents(core, session);
  for (const response of session.listeners) if (isOpen(response)) response.end();
  session.listeners.length = 0;
  session.streams.clear();
}

/** Sessions that nobody has used for the time they may idle. An open stream is use. */
export function idleSessions(core: Core): Session[] {
  const before = monotonicMs() - core.bounds.sessionIdleMs;
  return [...core.sessions.values()].filter(
    (session) => session.usedMs <= before && session.calls.size === 0 && !session.listeners.some(isOpen),
  );
}

/** Who gives way: nothing in flight; without a stream first; the one not used for longest. */
function leastUsed(core: Core): Session | null {
  const idle = [...core.sessions.values()].filter((session) => session.calls.size === 0);
  const rank = (session: Session): number => (session.listeners.some(isOpen) ? 1 : 0);
  idle.sort((a, b) => rank(a) - rank(b) || a.usedMs - b.usedMs);
  return idle[0] ?? null;
}
