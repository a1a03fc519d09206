// Legacy clients (2024-11-05 to 2025-11-25): many sessions on the one child. Ids and progress tokens are mapped; what
// concerns one session never reaches another. What the child must not be asked twice is answered from our books.
import type { ServerResponse } from 'node:http';
import { accept, answerJson, codes, errorText, resultText } from './answers.ts';
import { addCall, cancelCall, toChild } from './calls.ts';
import { type Document, documentOf, textOf } from './document.ts';
import { type Json, kindOf, objectIn, stringIn } from './messages.ts';
import { failServerCalls, takeClientAnswer, takeClientProgress } from './server-requests.ts';
import { removeSession } from './sessions.ts';
import type { Core, Session, Stream } from './state.ts';
import { closeOne, createStream, openSse, sendOn } from './streams.ts';
import {
  forgetWants,
  isSubscribedElsewhere,
  logLevels,
  lowestLevel,
  subscriptionsMax,
  tokenTextOf,
  uriLengthMax,
} from './wants.ts';
import { changed } from './wire.ts';

export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

/** Where the answer to a message goes: its own HTTP response, or a stream that answers share. */
export interface ReplyTo {
  readonly response: ServerResponse | null;
  readonly stream: Stream | null;
}

/** Answers a client's initialize from the child's, in the version it asked for where we speak that. */
export function initialize(core: Core, session: Session, message: Json): string {
  const asked = stringIn(message.params, 'protocolVersion') ?? '';
  session.version = legacyVersions.includes(asked) ? asked : (legacyVersions[0] as string);
  session.capabilities = knownCapabilities(objectIn(message.params, 'capabilities'));
  return resultText(JSON.stringify(message.id), { ...core.server, protocolVersion: session.version });
}

/** The part of a client's capabilities that decides what it is asked; the rest would only be kept. */
function knownCapabilities(given: Json | undefined): Json {
  const known: Json = {};
  for (const name of ['roots', 'sampling', 'elicitation']) {
    const object = objectIn(given, name);
    if (object === undefined) continue;
    const parts = ['tools', 'context', 'form', 'url'].filter((part) => objectIn(object, part) !== undefined);
    known[name] = Object.fromEntries(parts.map((part) => [part, {}]));
  }
  return known;
}

/** Ends a session: its streams, its open calls, what it wanted to hear. The child lives on. */
export function endSession(core: Core, session: Session, reason: string): void {
  for (const call of [...session.calls]) cancelCall(core, call, reason);
  removeSession(core, session);
  failServerCalls(core, (asked) => asked.session === session, 'The client has left');
  forgetWants(core, session);
}

/** A message a session posted that needs no answer of its own: a notification or an answer. */
export function takeQuietMessage(core: Core, session: Session, document: Document): void {
  const message = document.value as Json;
  if (kindOf(message) === 'response') return void takeClientAnswer(core, session, document);
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
      return void takeClientProgress(core, session, document);
    default:
      toChild(core, textOf(document));
  }
}

/** A request of a session: answered by the shim where the child must not be asked again, else sent on. */
export function takeRequest(core: Core, session: Session, document: Document, reply: ReplyTo): void {
  const message = document.value as Json;
  const idText = JSON.stringify(message.id);
  const done = (): void => answer(core, reply, resultText(idText, {}));
  const wrong = (code: number, text: string): void => answer(core, reply, errorText(idText, code, text));
  switch (message.method) {
    case 'ping':
      return void done();
    case 'initialize':
      return void wrong(codes.invalidRequest, 'This session is initialized already');
    case 'resources/subscribe':
    case 'resources/unsubscribe': {
      const uri = stringIn(message.params, 'uri');
      if (uri === undefined) break;
      if (uri.length > uriLengthMax) return void wrong(codes.invalidParams, 'The URI is too long');
      if (message.method === 'resources/unsubscribe') session.subscriptions.delete(uri);
      else if (session.subscriptions.size >= subscriptionsMax)
        return void wrong(codes.refused, 'Too many subscriptions in this session');
      else session.subscriptions.add(uri);
      return void (isSubscribedElsewhere(core, session, uri)
        ? done()
        : send(core, session, document, reply, uri));
    }
    case 'logging/setLevel': {
      const level = logLevels.indexOf(stringIn(message.params, 'level') ?? '');
      if (level === -1) break;
      session.logLevel = level;
      const lowest = lowestLevel(core) ?? level;
      if (lowest === core.childLevel) return void done();
      core.childLevel = lowest;
      const params = { ...(message.params as Json), level: logLevels[lowest] };
      return void send(core, session, documentOf({ ...message, params }), reply, String(level));
    }
  }
  send(core, session, document, reply, null);
}

function send(
  core: Core,
  session: Session,
  document: Document,
  reply: ReplyTo,
  subject: string | null,
): void {
  const message = document.value as Json;
  const meta = objectIn(message.params, '_meta');
  const progressToken = meta === undefined ? null : tokenTextOf(meta.progressToken);
  const idText = JSON.stringify(message.id);
  const method = message.method as string;
  const call = addCall(core, { idText, method, session, ...reply, progressToken, subject });
  const id = String(call.childId);
  if (progressToken === null) toChild(core, changed(document, { id }));
  else
    toChild(core, changed(document, { id, meta: JSON.stringify({ ...meta, progressToken: call.childId }) }));
}

/** Gives an answer the shim has itself. */
function answer(core: Core, reply: ReplyTo, text: string): void {
  if (reply.stream !== null) {
    sendOn(core, reply.stream, text);
    closeOne(core, reply.stream);
  } else if (reply.response !== null) answerJson(reply.response, 200, text);
}

/** A batch: only clients of 2025-03-26 may send one. Its answers come one by one on a stream. */
export function takeBatch(
  core: Core,
  session: Session,
  items: readonly Json[],
  response: ServerResponse,
): void {
  const requests = items.filter((item) => kindOf(item) === 'request');
  for (const item of items) if (kindOf(item) !== 'request') takeQuietMessage(core, session, documentOf(item));
  if (requests.length === 0) return void accept(response);
  const stream = createStream(session, response);
  stream.openCalls = requests.length;
  openSse(response);
  for (const item of requests) takeRequest(core, session, documentOf(item), { response: null, stream });
}
