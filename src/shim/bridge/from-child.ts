// Reads the child's lines: answers go back to whoever asked, notifications to whom they concern, requests to the one
// client that can answer. A line that is not JSON-RPC is the child's mistake: said in the log, and skipped.
import { monotonicMs } from '../../base/clock.ts';
import type { ChildLink } from '../seams.ts';
import { finishCall, sayInCall } from './calls.ts';
import { type Document, documentOf, readDocument, textOf } from './document.ts';
import { takeListenAnswer, takeOfSubscription, tellListeners } from './listen.ts';
import { type Json, kindOf, objectIn } from './messages.ts';
import { learnParamHeaders } from './param-headers.ts';
import { ownId, takeServerCancel, takeServerRequest } from './server-requests.ts';
import type { Call, Core, Session } from './state.ts';
import { sendOn } from './streams.ts';
import { settleWants, subscribersOf, wantsLevel } from './wants.ts';
import { changed, changedParts } from './wire.ts';

/** Bytes of a bad line that are quoted in the log. */
const quotedMax = 200;

/** Deeper than any message; what a child nests is the client's affair up to here. */
const lineDepthMax = 1_000;

/** One line of a child's standard output. */
export function takeLine(core: Core, link: ChildLink, line: Buffer): void {
  if (line.length === 0 || (line.length === 1 && line[0] === 0x0d)) return;
  const document = readDocument(line, lineDepthMax);
  if (typeof document === 'string') return void skip(core, line);
  // 2025-03-26 lets a server batch.
  if (Array.isArray(document.value))
    for (const item of document.value) takeMessage(core, link, documentOf(item));
  else takeMessage(core, link, document);
}

function takeMessage(core: Core, link: ChildLink, document: Document): void {
  switch (kindOf(document.value)) {
    case 'response':
      return void takeAnswer(core, link, document);
    case 'notification':
      return void takeNotification(core, link, document);
    case 'request':
      return void takeServerRequest(core, link, document);
    default:
      skip(core, document.bytes);
  }
}

function skip(core: Core, line: Buffer): void {
  core.say('warn', 'The server wrote a line to standard output that is not JSON-RPC; it was skipped', {
    line: line.toString('utf8', 0, quotedMax),
    sizeBytes: line.length,
  });
}

function takeAnswer(core: Core, link: ChildLink, document: Document): void {
  const message = document.value as Json;
  const call = typeof message.id === 'number' ? core.calls.get(message.id) : undefined;
  if (call === undefined) {
    // A late answer, to a call that was cancelled or timed out, is nobody's.
    if (core.listeners.size > 0 && link === core.link) takeListenAnswer(core, message);
    return;
  }
  if (call.method === 'tools/list') learnParamHeaders(core, document);
  if (call.taker !== null) return void call.taker.answer(call, document);
  if (call.subject !== null) settleWants(core, call, message.error !== undefined);
  const changes = { id: call.idText };
  const parts = document.scan === null ? null : changedParts(document, changes);
  finishCall(core, call, parts ?? changed(document, changes));
}

function takeNotification(core: Core, link: ChildLink, document: Document): void {
  const message = document.value as Json;
  const params = message.params as Json | undefined;
  // Until it serves it is nobody's: whoever serves meanwhile speaks for the instance.
  if (link === core.opening && message.method !== 'notifications/cancelled') return;
  if (core.era === 'modern' && takeOfSubscription(core, link, message)) return;
  switch (message.method) {
    case 'notifications/progress':
      return void takeProgress(core, document, params);
    case 'notifications/cancelled':
      return void takeServerCancel(core, link, document);
    case 'notifications/resources/updated':
      tellSessions(core, document, subscribersOf(core, String(params?.uri)));
      return void tellListeners(core, message);
    case 'notifications/tools/list_changed':
    case 'notifications/prompts/list_changed':
    case 'notifications/resources/list_changed':
      tellSessions(core, document, core.sessions.values());
      return void tellListeners(core, message);
    case 'notifications/message':
      return void tellEveryone(core, link, document, (session) => wantsLevel(core, session, params?.level));
    default:
      tellEveryone(core, link, document, () => true);
  }
}

/** Another child has taken the place of the one the clients know: it may offer other things. */
export function tellAllChanged(core: Core): void {
  if (core.era === 'modern') return;
  for (const list of ['tools', 'prompts', 'resources']) {
    if (objectIn(core.server?.capabilities, list)?.listChanged !== true) continue;
    const message: Json = { jsonrpc: '2.0', method: `notifications/${list}/list_changed` };
    tellSessions(core, documentOf(message), core.sessions.values());
    tellListeners(core, message);
  }
}

function tellSessions(core: Core, document: Document, sessions: Iterable<Session>): void {
  let text: string | null = null;
  for (const session of sessions) {
    text ??= textOf(document);
    sendOn(core, session.own, text);
  }
}

function takeProgress(core: Core, document: Document, params: Json | undefined): void {
  const token = params?.progressToken;
  const call = typeof token === 'number' ? core.calls.get(token) : undefined;
  if (call === undefined) return;
  call.touchedMs = monotonicMs();
  if (call.taker !== null) call.taker.notify(call, document);
  else if (call.progressToken !== null)
    sayInCall(core, call, changed(document, { progressToken: call.progressToken }));
}

/** What names no request belongs to the one in flight, if there is one; else it is every session's. */
function tellEveryone(
  core: Core,
  link: ChildLink,
  document: Document,
  wants: (session: Session) => boolean,
): void {
  const only = onlyCall(core, link);
  if (only === null) {
    const sessions = [...core.sessions.values()].filter(wants);
    return void tellSessions(core, document, sessions);
  }
  if (only.taker !== null) only.taker.notify(only, document);
  else if (only.session !== null && wants(only.session)) sayInCall(core, only, textOf(document));
}

function onlyCall(core: Core, link: ChildLink): Call | null {
  let only: Call | null = null;
  for (const call of core.calls.values()) {
    if (call.link !== link || call.idText === ownId || call.taker?.isParked()) continue;
    if (only !== null) return null;
    only = call;
  }
  return only;
}
