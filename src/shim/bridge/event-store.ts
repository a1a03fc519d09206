// Keeps the last events of a session's streams, so that a client that lost its connection can ask for the rest with
// Last-Event-ID. Bounded in count and bytes a session, in bytes for all; what falls out is lost without an error,
// as the specification allows.
import type { Core, Session, StoredEvent, Stream } from './state.ts';

/** What all sessions together may keep, as a multiple of one session's bound. */
const sharedFactor = 2;

/** Event ids name the stream, so that a client resumes the right one. */
export function eventId(stream: number, seq: number): string {
  return `${stream}-${seq}`;
}

/** Reads an event id; null when it is none of ours. */
export function parseEventId(text: string): { stream: number; seq: number } | null {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  return match === null ? null : { stream: Number(match[1]), seq: Number(match[2]) };
}

/** Stores a message as the stream's next event, and forgets the oldest ones past the bounds. */
export function storeEvent(core: Core, session: Session, stream: Stream, text: string): StoredEvent {
  stream.lastEvent += 1;
  const event: StoredEvent = { stream: stream.no, seq: stream.lastEvent, text };
  session.events.push(event);
  session.eventBytes += text.length;
  core.eventBytes += text.length;
  while (session.events.length > core.bounds.eventsMax || session.eventBytes > core.bounds.eventBytesMax)
    dropOldest(core, session);
  while (core.eventBytes > core.bounds.eventBytesMax * sharedFactor) dropOldest(core, biggest(core, session));
  return event;
}

/** Forgets all events of a session. */
export function clearEvents(core: Core, session: Session): void {
  core.eventBytes -= session.eventBytes;
  session.eventBytes = 0;
  session.events.length = 0;
}

/** The next kept event of a stream after `seq`. */
export function nextEvent(session: Session, stream: number, seq: number): StoredEvent | undefined {
  return session.events.find((event) => event.stream === stream && event.seq > seq);
}

function dropOldest(core: Core, session: Session): void {
  const event = session.events.shift();
  if (event === undefined) return;
  session.eventBytes -= event.text.length;
  core.eventBytes -= event.text.length;
}

function biggest(core: Core, first: Session): Session {
  let most = first;
  for (const session of core.sessions.values()) if (session.eventBytes > most.eventBytes) most = session;
  return most;
}
