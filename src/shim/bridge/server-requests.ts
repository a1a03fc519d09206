// Requests of the child to a client (sampling, elicitation, roots): each goes to exactly one client that declared it
// can answer, or is answered with an error. An answer counts only from the session that was asked.
import { monotonicMs } from '../../base/clock.ts';
import type { ChildLink } from '../seams.ts';
import { codes, errorText } from './answers.ts';
import { sayInCall, toChild } from './calls.ts';
import { type Document, textOf } from './document.ts';
import { type Json, objectIn, stringIn } from './messages.ts';
import type { Call, Core, ServerCall, Session } from './state.ts';
import { sendOn } from './streams.ts';
import { changed } from './wire.ts';

/** Questions of the child that may wait at once. */
const askedMax = 64;

/** Whether capabilities of a client cover a request of the child. */
export function canAnswer(capabilities: Json, message: Json): boolean {
  const params = message.params;
  switch (message.method) {
    case 'roots/list':
      return objectIn(capabilities, 'roots') !== undefined;
    case 'sampling/createMessage': {
      const sampling = objectIn(capabilities, 'sampling');
      const usesTools =
        objectIn(params, 'toolChoice') !== undefined || Array.isArray((params as Json)?.tools);
      return sampling !== undefined && (!usesTools || objectIn(sampling, 'tools') !== undefined);
    }
    case 'elicitation/create': {
      const elicitation = objectIn(capabilities, 'elicitation');
      if (elicitation === undefined) return false;
      if (stringIn(params, 'mode') === 'url') return objectIn(elicitation, 'url') !== undefined;
      return elicitation.form !== undefined || elicitation.url === undefined;
    }
    default:
      return false;
  }
}

/** Takes a request of a child: answers it, or passes it to the one client that should. */
export function takeServerRequest(core: Core, link: ChildLink, document: Document): void {
  const message = document.value as Json;
  const childIdText = JSON.stringify(message.id);
  if (message.method === 'ping') {
    toChild(core, `{"jsonrpc":"2.0","id":${childIdText},"result":{}}`, link);
    return;
  }
  const target = core.serverCalls.size < askedMax ? whoAnswers(core, link, message) : null;
  if (target === null) {
    toChild(
      core,
      errorText(childIdText, codes.methodNotFound, `No client can answer ${String(message.method)} now`),
      link,
    );
    return;
  }
  const progressToken = objectIn(message.params, '_meta')?.progressToken;
  const asked: ServerCall = {
    id: core.nextServerId++,
    link,
    childIdText,
    method: String(message.method),
    session: target.session,
    call: target.call,
    progressToken: progressToken === undefined ? null : JSON.stringify(progressToken),
    askedMs: monotonicMs(),
  };
  core.serverCalls.set(asked.id, asked);
  if (target.call !== null) target.call.asked += 1;
  if (target.call?.taker != null) {
    if (!target.call.taker.ask(target.call, asked, document))
      failServerCall(core, asked, codes.methodNotFound, 'The client cannot answer this');
    return;
  }
  const text = changed(document, { id: String(asked.id) });
  if (target.call !== null) sayInCall(core, target.call, text);
  else if (target.session !== null) sendOn(core, target.session.own, text);
}

interface Target {
  readonly session: Session | null;
  readonly call: Call | null;
}

/** The one client whose request is in flight; failing that the only session that declared the capability. */
function whoAnswers(core: Core, link: ChildLink, message: Json): Target | null {
  let last: Call | null = null;
  const clients = new Set<unknown>();
  for (const call of core.calls.values()) {
    if (call.link !== link || (call.session === null && call.taker === null)) continue;
    if (call.idText === ownId || call.taker?.isParked()) continue;
    last = call;
    clients.add(call.session ?? call);
  }
  if (last !== null && clients.size === 1) {
    if (last.session !== null && !canAnswer(last.session.capabilities, message)) return null;
    return { session: last.session, call: last };
  }
  const able = [...core.sessions.values()].filter((session) => canAnswer(session.capabilities, message));
  const [only] = able;
  if (only === undefined || able.length > 1) return null;
  return { session: only, call: [...only.calls].findLast((call) => call.link === link) ?? null };
}

/** Stands in for a client's id in calls the shim makes itself. */
export const ownId = '';

/** A client's answer to a request of the child. Answers nobody asked this session for are dropped. */
export function takeClientAnswer(core: Core, session: Session, document: Document): void {
  const message = document.value as Json;
  const asked = typeof message.id === 'number' ? core.serverCalls.get(message.id) : undefined;
  if (asked === undefined || asked.session !== session) return;
  if (dropServerCall(core, asked)) toChild(core, changed(document, { id: asked.childIdText }), asked.link);
}

/** Gives the child its answer. */
export function answerServerCall(
  core: Core,
  asked: ServerCall,
  answer: { result: unknown } | { error: unknown },
): void {
  if (!dropServerCall(core, asked)) return;
  const [name, value] = Object.entries(answer)[0] as [string, unknown];
  const line = `{"jsonrpc":"2.0","id":${asked.childIdText},"${name}":${JSON.stringify(value)}}`;
  toChild(core, line, asked.link);
}

export function failServerCall(core: Core, asked: ServerCall, code: number, message: string): void {
  answerServerCall(core, asked, { error: { code, message } });
}

function dropServerCall(core: Core, asked: ServerCall): boolean {
  if (!core.serverCalls.delete(asked.id)) return false;
  if (asked.call !== null) {
    asked.call.asked -= 1;
    asked.call.touchedMs = monotonicMs();
  }
  return true;
}

/** The child takes its request back: the client that was asked is told. */
export function takeServerCancel(core: Core, link: ChildLink, document: Document): void {
  const message = document.value as Json;
  const wanted = JSON.stringify((message.params as Json)?.requestId);
  for (const asked of core.serverCalls.values()) {
    if (asked.link !== link || asked.childIdText !== wanted) continue;
    dropServerCall(core, asked);
    const text = JSON.stringify({ ...message, params: { ...(message.params as Json), requestId: asked.id } });
    if (asked.call?.taker != null) asked.call.taker.notify(asked.call, document);
    else if (asked.call !== null && core.calls.has(asked.call.childId)) sayInCall(core, asked.call, text);
    else if (asked.session !== null) sendOn(core, asked.session.own, text);
    return;
  }
}

/** Questions a session can no longer answer, and those open for too long, fail. */
export function failServerCalls(core: Core, which: (asked: ServerCall) => boolean, reason: string): void {
  for (const asked of [...core.serverCalls.values()])
    if (which(asked)) failServerCall(core, asked, codes.internal, reason);
}

/** Progress of a client on a question of the child. */
export function takeClientProgress(core: Core, session: Session, document: Document): void {
  const params = (document.value as Json).params as Json | undefined;
  const token = JSON.stringify(params?.progressToken);
  for (const asked of core.serverCalls.values()) {
    if (asked.session !== session || asked.progressToken !== token) continue;
    toChild(core, textOf(document), asked.link);
    return;
  }
}
