// HTTP+SSE, the transport of 2024-11-05: GET /sse is a client's one stream, POST /messages takes what it says. Off
// unless the type asks for it. A session lives as long as its stream.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { accept, codes, refuse } from './answers.ts';
import { type Document, readDocument } from './document.ts';
import { hold } from './hold.ts';
import { endSession, initialize, takeQuietMessage, takeRequest } from './legacy.ts';
import { type Json, kindOf } from './messages.ts';
import { createSession } from './sessions.ts';
import type { Core, Session } from './state.ts';
import { openSse, sendOn, writeSse } from './streams.ts';

/** GET /sse: opens the stream and says where to post. */
export function takeSse(core: Core, response: ServerResponse): void {
  if (core.server === null) {
    const waitMs = core.spec.child.startTimeoutMs;
    const go = (): void => takeSse(core, response);
    const reason = 'The server is not ready';
    return void hold({ core, queue: core.awaitingServer, response, idText: 'null', waitMs, reason, go });
  }
  const session = createSession(core, true, (old) => endSession(core, old, 'It gave way to a newer one'));
  if (session === null) {
    const message = 'Too many sessions are in use';
    return void refuse(response, { status: 503, code: codes.refused, message, retryAfterS: 1 });
  }
  openSse(response);
  session.own.response = response;
  session.listeners.push(response);
  response.once('close', () => {
    if (core.sessions.get(session.id) === session) endSession(core, session, 'The client closed its stream');
  });
  writeSse(core, response, `event: endpoint\ndata: /messages?sessionId=${session.id}\n\n`);
}

/** POST /messages: the answer comes on the stream. */
export function takeSseMessage(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): void {
  const id = /[?&]sessionId=([0-9a-f-]{36})(&|$)/.exec(request.url ?? '')?.[1];
  const session = id === undefined ? undefined : core.sessions.get(id);
  if (session === undefined || !session.sse) {
    const message = 'There is no such session; open /sse again';
    return void refuse(response, { status: 404, code: codes.refused, message });
  }
  const document = readDocument(body, core.bounds.jsonDepthMax);
  if (typeof document === 'string') {
    return void refuse(response, { status: 400, code: codes.parse, message: 'The body is not valid JSON' });
  }
  const kind = kindOf(document.value);
  if (kind === 'junk') {
    return void refuse(response, {
      status: 400,
      code: codes.invalidRequest,
      message: 'Not a JSON-RPC message',
    });
  }
  if (kind === 'request') {
    core.requests += 1;
    if (core.calls.size >= core.bounds.inFlightMax) {
      const message = 'Too many requests in flight';
      return void refuse(response, { status: 503, code: codes.refused, message, retryAfterS: 1 });
    }
  }
  accept(response);
  take(core, session, document);
}

function take(core: Core, session: Session, document: Document): void {
  const message = document.value as Json;
  if (kindOf(message) !== 'request') return void takeQuietMessage(core, session, document);
  if (message.method !== 'initialize')
    return void takeRequest(core, session, document, { response: null, stream: session.own });
  sendOn(core, session.own, initialize(core, session, message));
}

/** Whether a request is for this transport. */
export function isSsePath(url: string | undefined): 'stream' | 'message' | null {
  if (url === undefined || url.startsWith('/mcp')) return null;
  if (/^\/sse(\?|$)/.test(url)) return 'stream';
  return /^\/messages(\?|$)/.test(url) ? 'message' : null;
}
