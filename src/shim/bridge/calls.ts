// The calls in flight: numbered for the child, answered to whoever asked, ended by an answer, a cancellation, a
// time-out or the child's death. Each ends exactly once and always with an answer, unless its client cancelled it.
import type { ServerResponse } from 'node:http';
import { monotonicMs } from '../../base/clock.ts';
import type { ChildLink } from '../seams.ts';
import { answerJson, codes, errorText, isOpen, type Payload, payloadText } from './answers.ts';
import { documentOf } from './document.ts';
import type { Call, Core, Session, Stream, Taker } from './state.ts';
import { closeOne, createStream, openSse, sendOn } from './streams.ts';

export interface NewCall {
  readonly idText: string;
  readonly method: string;
  readonly session: Session | null;
  readonly response: ServerResponse | null;
  readonly stream?: Stream | null;
  readonly progressToken?: string | null;
  readonly subject?: string | null;
  readonly taker?: Taker | null;
  /** Default: the child that serves now. */
  readonly link?: ChildLink | null;
}

/** Enters a call into the books, under a number the child has not seen. */
export function addCall(core: Core, made: NewCall): Call {
  const call: Call = {
    childId: core.nextId++,
    link: made.link === undefined ? core.link : made.link,
    idText: made.idText,
    method: made.method,
    session: made.session,
    progressToken: made.progressToken ?? null,
    subject: made.subject ?? null,
    response: made.response,
    stream: made.stream ?? null,
    touchedMs: monotonicMs(),
    asked: 0,
    taker: made.taker ?? null,
  };
  core.calls.set(call.childId, call);
  call.session?.calls.add(call);
  return call;
}

/** Takes a call out of the books. False when it was not there any more. */
export function removeCall(core: Core, call: Call): boolean {
  if (!core.calls.delete(call.childId)) return false;
  const now = monotonicMs();
  if (call.session !== null) {
    call.session.calls.delete(call);
    call.session.usedMs = now;
  }
  if (core.calls.size === 0) core.idleSinceMs = now;
  for (const callback of core.whenRemoved) callback();
  return true;
}

/** Sends a line to a child: the one that serves now, or the one that it concerns. */
export function toChild(core: Core, line: string, link = core.link): void {
  if (link !== null && !link.send(line) && link === core.link) core.blocked = true;
}

/** Resolves when none of these calls is in flight any more, or when the signal aborts. */
export function whenDone(core: Core, which: (call: Call) => boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!signal.aborted && [...core.calls.values()].some(which)) return;
      core.whenRemoved.delete(look);
      signal.removeEventListener('abort', look);
      resolve();
    };
    core.whenRemoved.add(look);
    signal.addEventListener('abort', look, { once: true });
    look();
  });
}

/** Gives a call's client its answer, already under the client's id, and ends the call. */
export function finishCall(core: Core, call: Call, payload: Payload): void {
  if (!removeCall(core, call)) return;
  if (call.stream !== null) {
    sendOn(core, call.stream, payloadText(payload));
    closeOne(core, call.stream);
  } else if (call.response !== null) {
    answerJson(call.response, 200, payload);
    if (typeof payload !== 'string') boundUnread(core, call.response);
  }
  call.response = null;
}

/** Large answers that clients have not read may hold this much, as a multiple of the longest; the oldest gives way. */
const unreadFactor = 4;

/** Counts a large answer among those that wait for their client to read. */
export function boundUnread(core: Core, response: ServerResponse): void {
  core.unread.add(response);
  response.once('close', () => core.unread.delete(response));
  let sizeBytes = 0;
  for (const { writableLength } of core.unread) sizeBytes += writableLength;
  for (const oldest of core.unread) {
    if (sizeBytes <= core.bounds.childLineBytesMax * unreadFactor) return;
    sizeBytes -= oldest.writableLength;
    oldest.destroy();
  }
}

/** Ends a call with an error of the shim's own. */
function failCall(core: Core, call: Call, code: number, message: string): void {
  if (call.taker === null) {
    finishCall(core, call, errorText(call.idText, code, message));
    return;
  }
  const error = { jsonrpc: '2.0', id: call.childId, error: { code, message } };
  if (core.calls.has(call.childId)) call.taker.answer(call, documentOf(error));
}

/** A message that belongs to a call and comes before its answer: from here on the answer is a stream. */
export function sayInCall(core: Core, call: Call, text: string): void {
  if (call.stream === null) {
    if (call.response === null || call.session === null) return;
    call.stream = createStream(call.session, call.response);
    if (isOpen(call.response)) openSse(call.response);
  }
  sendOn(core, call.stream, text);
}

/** The client no longer wants the answer: the child is told, the answer ends empty. */
export function cancelCall(core: Core, call: Call, reason: string | undefined): void {
  if (!removeCall(core, call)) return;
  tellCancelled(core, call, reason);
  if (call.stream !== null) closeOne(core, call.stream);
  else if (call.response !== null && isOpen(call.response)) {
    openSse(call.response);
    call.response.end();
  }
  call.response = null;
}

/** Tells the child that nobody waits for an answer any more. */
export function tellCancelled(core: Core, call: Call, reason: string | undefined): void {
  if (call.method === 'initialize') return;
  const params = reason === undefined ? { requestId: call.childId } : { requestId: call.childId, reason };
  toChild(core, JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }), call.link);
}

/** Ends the calls whose child has given no sign of life for too long. A call whose client is being asked waits. */
export function timeOutCalls(core: Core): void {
  const before = monotonicMs() - core.bounds.requestTimeoutMs;
  for (const call of core.calls.values()) {
    if (call.asked > 0 || call.touchedMs > before) continue;
    tellCancelled(core, call, 'The request timed out');
    failCall(
      core,
      call,
      codes.timeout,
      `The server gave no answer and no progress in ${core.bounds.requestTimeoutMs} ms`,
    );
    removeCall(core, call);
  }
}

/** Ends every call: the shim is ending, or the child that was asked is gone. */
export function failAllCalls(core: Core, reason: string, ofLink?: ChildLink | null): void {
  for (const call of [...core.calls.values()]) {
    if (ofLink !== undefined && call.link !== ofLink) continue;
    failCall(core, call, codes.internal, reason);
    removeCall(core, call);
  }
}
