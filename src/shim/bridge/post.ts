// One POST, body received: JSON first, then what kind of message it is and whose. Malformed documents are answered 400
// with -32700; nothing that is not a JSON-RPC message goes further.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { accept, answerJson, codes, refuse } from './answers.ts';
import { type Document, readDocument } from './document.ts';
import { isModern, modernCodes, modernVersion } from './envelope.ts';
import { hold } from './hold.ts';
import { endSession, initialize, takeBatch, takeQuietMessage, takeRequest } from './legacy.ts';
import { type Json, kindOf, stringIn } from './messages.ts';
import { takeModernNotification, takeModernRequest } from './modern.ts';
import { sessionOf } from './session-http.ts';
import { createSession } from './sessions.ts';
import type { Core } from './state.ts';

/** Answers the request, now or once the child has. */
export function takePost(core: Core, request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const document = readDocument(body, core.bounds.jsonDepthMax);
  if (typeof document === 'string') {
    const deep = `The body is nested deeper than ${core.bounds.jsonDepthMax} levels`;
    const message = document === 'deep' ? deep : 'The body is not valid JSON';
    return void refuse(response, { status: 400, code: codes.parse, message });
  }
  const { value } = document;
  if (Array.isArray(value)) return void takeArray(core, request, response, value);
  const kind = kindOf(value);
  if (kind === 'junk')
    return void refuse(response, {
      status: 400,
      code: codes.invalidRequest,
      message: 'The body is not a JSON-RPC message',
    });
  const message = value as Json;
  const idText = kind === 'request' ? JSON.stringify(message.id) : 'null';
  if (kind === 'request') {
    core.requests += 1;
    if (core.calls.size >= core.bounds.inFlightMax)
      return void refuse(response, {
        status: 503,
        code: codes.refused,
        idText,
        message: `${core.bounds.inFlightMax} requests are in flight already`,
        retryAfterS: 1,
      });
  }
  if (kind !== 'response' && isModern(message, request.headers))
    return void takeModern(core, request, response, document);
  if (core.era === 'modern') return void refuseLegacy(response, message, idText);
  if (kind === 'request' && message.method === 'initialize')
    return void takeInitialize(core, response, message, idText);
  const session = sessionOf(core, request, response, idText);
  if (session === null) return;
  if (kind === 'request') return void takeRequest(core, session, document, { response, stream: null });
  takeQuietMessage(core, session, document);
  accept(response);
}

function takeArray(core: Core, request: IncomingMessage, response: ServerResponse, items: unknown[]): void {
  const session = sessionOf(core, request, response);
  if (session === null) return;
  const wrong = (message: string): void =>
    refuse(response, { status: 400, code: codes.invalidRequest, message });
  if (session.version !== '2025-03-26') return void wrong('Batches ended with revision 2025-06-18');
  if (items.length === 0 || items.some((item) => kindOf(item) === 'junk'))
    return void wrong('The batch is not one of JSON-RPC messages');
  const requests = items.filter((item) => kindOf(item) === 'request').length;
  core.requests += requests;
  if (core.calls.size + requests > core.bounds.inFlightMax)
    return void refuse(response, {
      status: 503,
      code: codes.refused,
      message: 'Too many requests in flight',
      retryAfterS: 1,
    });
  takeBatch(core, session, items as Json[], response);
}

/** A modern message: it needs no session, but a child that is ready. */
function takeModern(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  document: Document,
): void {
  const message = document.value as Json;
  if (message.id === undefined) return void takeModernNotification(core, response, document);
  const take = (): void => takeModernRequest(core, request, response, document);
  if (core.server !== null) take();
  else holdUntilReady(core, response, JSON.stringify(message.id), take);
}

/** A modern-only server: a legacy client has no way forward, so it is told plainly. */
function refuseLegacy(response: ServerResponse, message: Json, idText: string): void {
  const requested = stringIn(message.params, 'protocolVersion');
  const data = { supported: [modernVersion], ...(requested === undefined ? {} : { requested }) };
  const text = `Unsupported protocol version: this server speaks only ${modernVersion}`;
  refuse(response, { status: 400, code: modernCodes.unsupportedVersion, idText, message: text, data });
}

/** Answers at once when the child is ready, else as soon as it is. */
function takeInitialize(core: Core, response: ServerResponse, message: Json, idText: string): void {
  const unavailable = (text: string): void =>
    refuse(response, { status: 503, code: codes.refused, idText, message: text, retryAfterS: 1 });
  if (core.server !== null) {
    const session = createSession(core, false, (old) => endSession(core, old, 'It gave way to a newer one'));
    if (session === null) return void unavailable('Too many sessions are in use');
    const text = initialize(core, session, message);
    return void answerJson(response, 200, text, ['Mcp-Session-Id', session.id]);
  }
  holdUntilReady(core, response, idText, () => takeInitialize(core, response, message, idText));
}

/** Lets a request wait for the child to be ready. */
function holdUntilReady(core: Core, response: ServerResponse, idText: string, take: () => void): void {
  const go = (): void => {
    if (core.server !== null) take();
    else refuse(response, { status: 503, code: codes.refused, idText, message: notReady, retryAfterS: 1 });
  };
  const waitMs = core.spec.child.startTimeoutMs;
  hold({ core, queue: core.awaitingServer, response, idText, waitMs, reason: notReady, go });
}

const notReady = 'The server is not ready';
