// Legacy clients (2024-11-05 to 2025-11-25): sessions, and many of them on the one child. Ids and progress tokens are
// mapped; what concerns one session never reaches another.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { monotonicMs } from '../../base/clock.ts';
import { accept, answerJson, codes, errorText, refuse, resultText } from './answers.ts';
import { addCall, cancelCall, toChild } from './calls.ts';
import { parseEventId } from './event-store.ts';
import { kindOf, objectIn, stringIn } from './messages.ts';
import { failServerCalls, takeClientAnswer, takeClientProgress } from './server-requests.ts';
import { createSession, removeSession } from './sessions.ts';
import type { Core, Json, Session, Stream } from './state.ts';
import { closeOne, createStream, listen, openSse, resume, sendOn } from './streams.ts';
import { forgetWants, isSubscribedElsewhere, logLevels, lowestLevel } from './wants.ts';

export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

/** Where the answer to a message goes: its own HTTP response, or a stream that answers share. */
export interface ReplyTo {
  readonly response: ServerResponse | null;
  readonly stream: Stream | null;
}

/** Finds the session a request names; answers the request and gives null when there is none. */
export function sessionOf(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  idText = 'null',
): Session | null {
  const version = request.headers['mcp-protocol-version'];
  if (version !== undefined && !legacyVersions.includes(String(version))) {
    refuse(response, {
      status: 400,
      code: codes.refused,
      idText,
      message: `Unsupported MCP-Protocol-Version; sessions are served in ${legacyVersions.join(', ')}`,
    });
    return null;
  }
  const id = request.headers['mcp-session-id'];
  if (id === undefined) {
    refuse(response, {
      status: 400,
      code: codes.refused,
      idText,
      message: 'Mcp-Session-Id is missing; call initialize first',
    });
    return null;
  }
  const session = core.sessions.get(String(id));
  if (session === undefined || session.sse) {
    refuse(response, {
      status: 404,
      code: -32001,
      idText,
      message: 'There is no such session; call initialize again',
    });
    return null;
  }
  session.usedMs = monotonicMs();
  return session;
}

/** Answers a client's initialize from the child's, and makes its session. */
export function initialize(
  core: Core,
  message: Json,
  idText: string,
  sse: boolean,
): { session: Session; text: string } | null {
  const server = core.server;
  if (server === null) return null;
  const asked = stringIn(message.params, 'protocolVersion') ?? '';
  const version = legacyVersions.includes(asked) ? asked : (legacyVersions[0] as string);
  const capabilities = objectIn(message.params, 'capabilities') ?? {};
  const session = createSession(core, { version, capabilities, sse }, (old) =>
    endSession(core, old, 'It gave way to a newer one'),
  );
  if (session === null) return null;
  return { session, text: resultText(idText, { ...server, protocolVersion: version }) };
}

/** Ends a session: its streams, its open calls, what it wanted to hear. The child lives on. */
export function endSession(core: Core, session: Session, reason: string): void {
  for (const call of [...session.calls]) cancelCall(core, call, reason);
  removeSession(core, session);
  failServerCalls(core, (asked) => asked.session === session, 'The client has left');
  forgetWants(core, session);
}

/** A message a session posted that needs no answer of its own: a notification or an answer. */
export function takeQuietMessage(core: Core, session: Session, message: Json, text: string): void {
  if (kindOf(message) === 'response') return void takeClientAnswer(core, session, message);
  const params = message.params as Json | undefined;
  switch (message.method) {
    case 'notifications/initialized':
      return;
    case 'notifications/cancelled': {
      const wanted = JSON.stringify(params?.requestId);
      for (const call of session.calls)
        if (call.idText === wanted) return void cancelCall(core, call, stringIn(params, 'reason'));
      return;
    }
    case 'notifications/progress':
      return void takeClientProgress(core, session, message);
    default:
      toChild(core, oneLine(text));
  }
}

/** A request of a session: answered by the shim where the child must not be asked again, else sent on. */
export function takeRequest(core: Core, session: Session, message: Json, reply: ReplyTo): void {
  const idText = JSON.stringify(message.id);
  const method = message.method as string;
  const params = message.params as Json | undefined;
  let subject: string | null = null;
  switch (method) {
    case 'ping':
      return void answer(core, reply, resultText(idText, {}));
    case 'initialize':
      return void answer(
        core,
        reply,
        errorText(idText, codes.invalidRequest, 'This session is initialized already'),
      );
    case 'resources/subscribe':
    case 'resources/unsubscribe': {
      subject = stringIn(params, 'uri') ?? null;
      if (subject === null) break;
      if (method === 'resources/subscribe') session.subscriptions.add(subject);
      else session.subscriptions.delete(subject);
      if (isSubscribedElsewhere(core, session, subject))
        return void answer(core, reply, resultText(idText, {}));
      break;
    }
    case 'logging/setLevel': {
      const level = logLevels.indexOf(stringIn(params, 'level') ?? '');
      if (level === -1) break;
      session.logLevel = level;
      subject = String(level);
      const lowest = lowestLevel(core) ?? level;
      if (lowest === core.childLevel) return void answer(core, reply, resultText(idText, {}));
      core.childLevel = lowest;
      return void send(
        core,
        session,
        { ...message, params: { ...params, level: logLevels[lowest] } },
        idText,
        subject,
        reply,
      );
    }
  }
  send(core, session, message, idText, subject, reply);
}

function send(
  core: Core,
  session: Session,
  message: Json,
  idText: string,
  subject: string | null,
  reply: ReplyTo,
): void {
  const params = message.params as Json | undefined;
  const meta = objectIn(params, '_meta');
  const token = meta?.progressToken;
  const progressToken = typeof token === 'string' || typeof token === 'number' ? JSON.stringify(token) : null;
  const call = addCall(core, {
    idText,
    method: message.method as string,
    session,
    ...reply,
    progressToken,
    subject,
  });
  const sent =
    progressToken === null
      ? { ...message, id: call.childId }
      : {
          ...message,
          id: call.childId,
          params: { ...params, _meta: { ...meta, progressToken: call.childId } },
        };
  toChild(core, JSON.stringify(sent));
}

/** Gives an answer the shim has itself. */
export function answer(core: Core, reply: ReplyTo, text: string): void {
  if (reply.stream !== null) {
    sendOn(core, reply.stream, text);
    closeOne(reply.stream);
  } else if (reply.response !== null) answerJson(reply.response, 200, text);
}

/** GET: the session's own stream, or a broken one taken up again. */
export function takeGet(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const session = sessionOf(core, request, response);
  if (session === null) return;
  const last = request.headers['last-event-id'];
  if (last === undefined || last === '') return void listen(core, session, response, null);
  const event = parseEventId(String(last));
  if (event === null)
    return void refuse(response, {
      status: 400,
      code: codes.refused,
      message: 'Last-Event-ID is none of ours',
    });
  if (event.stream === 0) return void listen(core, session, response, event.seq);
  resume(core, session, event.stream, event.seq, response);
}

/** DELETE: the session ends. */
export function takeDelete(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const session = sessionOf(core, request, response);
  if (session === null) return;
  endSession(core, session, 'The session was ended');
  response.writeHead(200, ['Content-Length', '0']);
  response.end();
}

/** A batch: only clients of 2025-03-26 may send one. Its answers come one by one on a stream. */
export function takeBatch(
  core: Core,
  session: Session,
  items: readonly Json[],
  response: ServerResponse,
): void {
  const requests = items.filter((item) => kindOf(item) === 'request');
  for (const item of items)
    if (kindOf(item) !== 'request') takeQuietMessage(core, session, item, JSON.stringify(item));
  if (requests.length === 0) return void accept(response);
  const stream = createStream(session, response);
  stream.openCalls = requests.length;
  openSse(response);
  for (const item of requests) takeRequest(core, session, item, { response: null, stream });
}

/** The child reads lines: white space between tokens must not hold one. */
export function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, ' ') : text;
}
