// Server-sent events: opens streams, writes messages to them, lets clients take a broken one up again. A client that
// does not read loses its connection once too much waits for it; its events stay in the store.
import type { ServerResponse } from 'node:http';
import { isOpen } from './answers.ts';
import { eventId, nextEvent, storeEvent } from './event-store.ts';
import type { Core, Session, Stream } from './state.ts';

/** Unread bytes at which the giving of stored events pauses. */
const paceBytes = 64 * 1024;

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

/** Writes to a stream's connection; closes it instead when too much is unread already. */
export function writeSse(core: Core, response: ServerResponse, text: string): boolean {
  if (!isOpen(response)) return false;
  if (response.writableLength > core.bounds.clientBufferBytesMax) {
    response.destroy();
    return false;
  }
  response.write(text);
  return true;
}

/** Makes a stream for the answers of one POST of a session. */
export function createStream(session: Session | null, response: ServerResponse): Stream {
  const no = session === null ? 0 : session.nextStream;
  const stream: Stream = { no, session, response, openCalls: 1, lastEvent: 0, sentEvent: 0 };
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
  const connection = stream.no === 0 ? listener(session) : stream.response;
  if (connection === null || connection === undefined || core.catchingUp.has(connection)) return;
  openSse(connection);
  if (writeSse(core, connection, eventText(text, eventId(stream.no, event.seq))))
    stream.sentEvent = event.seq;
}

/** One answer has been sent on the stream; after the last one it ends. */
export function closeOne(core: Core, stream: Stream): void {
  stream.openCalls -= 1;
  if (stream.openCalls > 0) return;
  stream.session?.streams.delete(stream.no);
  const { response } = stream;
  stream.response = null;
  // A connection that is catching up ends when it has.
  if (response !== null && isOpen(response) && !core.catchingUp.has(response)) response.end();
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
  if (
    session.version >= '2025-11-25' &&
    nextEvent(session, 0, afterSeq ?? session.own.sentEvent) === undefined
  ) {
    // An id to come back with, even if nothing is ever said.
    writeSse(core, response, `id: ${eventId(0, afterSeq ?? session.own.lastEvent)}\ndata: \n\n`);
  }
  catchUp({ core, session, no: 0, response }, afterSeq ?? session.own.sentEvent);
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
  if (stream !== undefined) {
    if (stream.response !== null && isOpen(stream.response)) stream.response.end();
    stream.response = response;
  }
  catchUp({ core, session, no, response }, seq);
}

interface CatchingUp {
  readonly core: Core;
  readonly session: Session;
  readonly no: number;
  readonly response: ServerResponse;
}

/** Gives a connection the stored events after `seq`, no faster than it reads; then it is up to date, or done. */
function catchUp(connection: CatchingUp, seq: number): void {
  const { core, session, no, response } = connection;
  let last = seq;
  for (let event = nextEvent(session, no, last); event !== undefined; event = nextEvent(session, no, last)) {
    if (!writeSse(core, response, eventText(event.text, eventId(no, event.seq)))) break;
    last = event.seq;
    if (response.writableLength <= paceBytes) continue;
    core.catchingUp.add(response);
    const go = (): void => {
      response.removeListener('drain', go);
      response.removeListener('close', go);
      catchUp(connection, last);
    };
    response.on('drain', go);
    response.on('close', go);
    return;
  }
  core.catchingUp.delete(response);
  if (no === 0) session.own.sentEvent = Math.max(session.own.sentEvent, last);
  else if (!session.streams.has(no) && isOpen(response)) response.end();
}
