// Reads the child's lines: answers go back to whoever asked, notifications to whom they concern, requests to the one
// client that can answer. A line that is not JSON-RPC is the child's mistake: said in the log, and skipped.
import { monotonicMs } from '../../base/clock.ts';
import { finishCall, sayInCall } from './calls.ts';
import { takeListenAnswer, takeOfSubscription, tellListeners } from './listen.ts';
import { kindOf } from './messages.ts';
import { learnParamHeaders } from './param-headers.ts';
import { ownId, takeServerCancel, takeServerRequest } from './server-requests.ts';
import type { Call, Core, Json, Session } from './state.ts';
import { sendOn } from './streams.ts';
import { settleWants, subscribersOf, wantsLevel } from './wants.ts';

/** Bytes of a bad line that are quoted in the log. */
const quotedMax = 200;

/** One line of the child's standard output. */
export function takeLine(core: Core, line: Buffer): void {
  const text = cleaned(line);
  if (text === '') return;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    skip(core, text);
    return;
  }
  // 2025-03-26 lets a server batch.
  if (Array.isArray(value)) for (const item of value) takeMessage(core, item, JSON.stringify(item));
  else takeMessage(core, value, text);
}

/** A carriage return may stand in JSON as white space, and would end a line of an event stream. */
function cleaned(line: Buffer): string {
  const text = line.toString('utf8');
  return text.includes('\r') ? text.replaceAll('\r', ' ').trim() : text;
}

function takeMessage(core: Core, value: unknown, text: string): void {
  switch (kindOf(value)) {
    case 'response':
      takeAnswer(core, value as Json, text);
      break;
    case 'notification':
      takeNotification(core, value as Json, text);
      break;
    case 'request':
      takeServerRequest(core, value as Json);
      break;
    default:
      skip(core, text);
  }
}

function skip(core: Core, text: string): void {
  core.say('warn', 'The server wrote a line to standard output that is not JSON-RPC; it was skipped', {
    line: text.slice(0, quotedMax),
    sizeBytes: text.length,
  });
}

function takeAnswer(core: Core, message: Json, text: string): void {
  const call = typeof message.id === 'number' ? core.calls.get(message.id) : undefined;
  if (call === undefined && core.listeners.size > 0 && takeListenAnswer(core, message)) return;
  // Late answers, to calls that were cancelled or timed out, are nobody's.
  if (call === undefined) return;
  if (call.method === 'tools/list') learnParamHeaders(core, message, text);
  if (call.taker !== null) {
    call.taker.answer(call, message, text);
    return;
  }
  if (call.subject !== null) settleWants(core, call, message.error !== undefined);
  finishCall(core, call, withId(message, text, call.idText));
}

/** The same message under another id. The id mostly stands at the end or at the start; then nothing is parsed twice. */
function withId(message: Json, text: string, idText: string): string {
  const id = String(message.id);
  const tail = `,"id":${id}}`;
  if (text.endsWith(tail)) return `${text.slice(0, -id.length - 1)}${idText}}`;
  const head = `{"jsonrpc":"2.0","id":${id},`;
  if (text.startsWith(head)) return `{"jsonrpc":"2.0","id":${idText},${text.slice(head.length)}`;
  return JSON.stringify({ ...message, id: JSON.parse(idText) });
}

function takeNotification(core: Core, message: Json, text: string): void {
  const params = message.params as Json | undefined;
  if (core.era === 'modern' && takeOfSubscription(core, message)) return;
  switch (message.method) {
    case 'notifications/progress':
      takeProgress(core, message, params);
      return;
    case 'notifications/cancelled':
      takeServerCancel(core, message);
      return;
    case 'notifications/resources/updated':
      for (const session of subscribersOf(core, String(params?.uri))) sendOn(core, session.own, text);
      tellListeners(core, message);
      return;
    case 'notifications/tools/list_changed':
    case 'notifications/prompts/list_changed':
    case 'notifications/resources/list_changed':
      for (const session of core.sessions.values()) sendOn(core, session.own, text);
      tellListeners(core, message);
      return;
    case 'notifications/message':
      tellEveryone(core, message, text, (session) => wantsLevel(core, session, params?.level));
      return;
    default:
      tellEveryone(core, message, text, () => true);
  }
}

function takeProgress(core: Core, message: Json, params: Json | undefined): void {
  const token = params?.progressToken;
  const call = typeof token === 'number' ? core.calls.get(token) : undefined;
  if (call === undefined) return;
  call.touchedMs = monotonicMs();
  if (call.taker !== null) call.taker.notify(call, message);
  else if (call.progressToken !== null)
    sayInCall(
      core,
      call,
      JSON.stringify({ ...message, params: { ...params, progressToken: JSON.parse(call.progressToken) } }),
    );
}

/** What names no request belongs to the one in flight, if there is one; else it is every session's. */
function tellEveryone(core: Core, message: Json, text: string, wants: (session: Session) => boolean): void {
  const only = onlyCall(core);
  if (only !== null) {
    if (only.taker !== null) only.taker.notify(only, message);
    else if (only.session !== null && wants(only.session)) sayInCall(core, only, text);
    return;
  }
  for (const session of core.sessions.values()) if (wants(session)) sendOn(core, session.own, text);
}

function onlyCall(core: Core): Call | null {
  let only: Call | null = null;
  for (const call of core.calls.values()) {
    if (call.idText === ownId || call.taker?.isParked()) continue;
    if (only !== null) return null;
    only = call;
  }
  return only;
}
