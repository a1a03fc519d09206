// What sessions are in HTTP: found by their header, listened to with GET, ended with DELETE.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { monotonicMs } from '../../base/clock.ts';
import { codes, refuse } from './answers.ts';
import { parseEventId } from './event-store.ts';
import { endSession, legacyVersions } from './legacy.ts';
import type { Core, Session } from './state.ts';
import { listen, resume } from './streams.ts';

/** Code of the answer to a session nobody knows, as servers commonly give it. */
const sessionNotFound = -32001;

/** Finds the session a request names; answers the request and gives null when there is none. */
export function sessionOf(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  idText = 'null',
): Session | null {
  const { 'mcp-protocol-version': version, 'mcp-session-id': id } = request.headers;
  if (version !== undefined && !legacyVersions.includes(String(version))) {
    const message = `Unsupported MCP-Protocol-Version; sessions are served in ${legacyVersions.join(', ')}`;
    refuse(response, { status: 400, code: codes.refused, idText, message });
    return null;
  }
  if (id === undefined) {
    const message = 'Mcp-Session-Id is missing; call initialize first';
    refuse(response, { status: 400, code: codes.refused, idText, message });
    return null;
  }
  const session = core.sessions.get(String(id));
  if (session === undefined || session.sse) {
    const message = 'There is no such session; call initialize again';
    refuse(response, { status: 404, code: sessionNotFound, idText, message });
    return null;
  }
  session.usedMs = monotonicMs();
  return session;
}

/** GET: the session's own stream, or a broken one taken up again. */
export function takeGet(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const session = sessionOf(core, request, response);
  if (session === null) return;
  const last = request.headers['last-event-id'];
  if (last === undefined || last === '') return void listen(core, session, response, null);
  const event = parseEventId(String(last));
  if (event === null) {
    const message = 'Last-Event-ID is none of ours';
    return void refuse(response, { status: 400, code: codes.refused, message });
  }
  if (event.stream === 0) listen(core, session, response, event.seq);
  else resume(core, session, event.stream, event.seq, response);
}

/** DELETE: the session ends. */
export function takeDelete(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const session = sessionOf(core, request, response);
  if (session === null) return;
  endSession(core, session, 'The session was ended');
  response.writeHead(200, ['Content-Length', '0']);
  response.end();
}
