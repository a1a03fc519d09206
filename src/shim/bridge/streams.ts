// Server-sent events: opens streams, writes messages to them, lets clients take a broken one up again. A client that
// does not read loses its connection once too much waits for it; its events stay in the store.
import type { ServerResponse } from 'node:http';
import { isOpen } from './answers.ts';
import { eventId, eventsAfter, storeEvent, unsentEvents } from './event-store.ts';
import type { Core, Session, Stream } from './state.ts';

/** Connections of one session's own stream that stay open; the oldest gives way. */
const listenersMax = 4;

/** Starts the HTTP answer of a stream. */
export function openSse(response: ServerResponse): void {
  if (!isOpen(response) || response.headersSent) return;
  response.writeHead(200, [
    'Content-Type',
    'text/event-stream',
    'Cache-Control',
    'no-cache, no-transform',
    'X-Accel-Buffering',
    'no',
  ]);
  response.flushHeaders();
}

/** One message as an event. */
export function eventText(text: string, id?: string): string {
  return id === undefined
    ? `event: message\ndata: ${text}\n\n`
    : `id: ${id}\nevent: message\ndata: ${text}\n\n`;
}

/** Writes to a stream's connection; closes it when too much is unread. */
export function writeSse(core: Core, response: ServerResponse, text: string): boolean {
  if (!isOpen(response)) return false;
  response.write(text);
  if (response.writableLength <= core.bounds.clientBufferBytesMax) return true;
  response.destroy();
  return false;
}

/** Makes a stream for the answers of one POST of a session. */
export function createStream(session: Session | null, response: ServerResponse): Stream {
  const no = session === null ? 0 : session.nextStream;
  const stream: Stream = { no, session, response, openCalls: 1, lastEvent: 0 };
  if (session !== null && !session.sse) {
    session.nextStream += 1;
    session.streams.set(no, stream);
  }
  return stream;
}

/** Sends a message on a stream, by way of the event store where there is a session to come back. */
export function sendOn(core: Core, stream: Stream, text: string): void {
  const { session, response } = stream;
  if (session === null || session.sse) {
    if (response !== null) writeSse(core, response, eventText(text));
    return;
  }
  const event = storeEvent(core, session, stream, text);
  const connection = stream.no === 0 ? listener(session) : response;
  if (connection === null || connection === undefined) return;
  openSse(connection);
  event.sent = writeSse(core, connection, eventText(text, eventId(stream.no, event.seq)));
}

/** One answer has been sent on the stream; after the last one it ends. */
export function closeOne(stream: Stream): void {
  stream.openCalls -= 1;
  if (stream.openCalls > 0) return;
  stream.session?.streams.delete(stream.no);
  if (stream.response !== null && isOpen(stream.response)) stream.response.end();
  stream.response = null;
}

/** The session's newest living connection. */
function listener(session: Session): ServerResponse | undefined {
  while (session.listeners.length > 0) {
    const last = session.listeners.at(-1) as ServerResponse;
    if (isOpen(last)) return last;
    session.listeners.pop();
  }
  return undefined;
}

/** Opens the session's own stream on a connection, with what nobody has been given yet. */
export function listen(
  core: Core,
  session: Session,
  response: ServerResponse,
  afterSeq: number | null,
): void {
  openSse(response);
  session.listeners.push(response);
  if (session.listeners.length > listenersMax) session.listeners.shift()?.end();
  response.once('close', () => {
    const at = session.listeners.indexOf(response);
    if (at !== -1) session.listeners.splice(at, 1);
  });
  const events = afterSeq === null ? unsentEvents(session) : eventsAfter(session, 0, afterSeq);
  if (session.version >= '2025-11-25' && events.length === 0) {
    // An id to come back with, even if nothing is ever said.
    writeSse(core, response, `id: ${eventId(0, afterSeq ?? session.own.lastEvent)}\ndata: \n\n`);
  }
  for (const event of events)
    event.sent = writeSse(core, response, eventText(event.text, eventId(0, event.seq)));
}

/** Takes a POST's stream up again on a new connection: what was missed, then what is still to come. */
export function resume(
  core: Core,
  session: Session,
  no: number,
  seq: number,
  response: ServerResponse,
): void {
  openSse(response);
  const stream = session.streams.get(no);
  for (const event of eventsAfter(session, no, seq)) {
    event.sent = writeSse(core, response, eventText(event.text, eventId(no, event.seq)));
  }
  if (stream === undefined) {
    response.end();
    return;
  }
  if (stream.response !== null && isOpen(stream.response)) stream.response.end();
  stream.response = response;
}
