// Questions of a legacy child to a modern client: the result says what is asked and under which state to come back,
// the child waits meanwhile. The state is a random name, good once, for the same request; bounded in number and time.
import { randomBytes } from 'node:crypto';
import { monotonicMs } from '../../base/clock.ts';
import { codes, errorText, type Payload, payloadText } from './answers.ts';
import { type Document, readDocument, wholeOf } from './document.ts';
import { isObject, type Json } from './messages.ts';
import { answerServerCall } from './server-requests.ts';
import type { Caller, Core, ParkedCall } from './state.ts';
import { serverMeta } from './translate.ts';
import { changed } from './wire.ts';

/** Calls that may wait for their client at once; the oldest gives way. */
const parkedMax = 64;

/** Longest a child is kept waiting for a client to come back, in milliseconds. */
const parkedMsMax = 600_000;

/** Answers the client with the child's questions and keeps the call for its retry. */
export function park(core: Core, call: ParkedCall): void {
  if (core.parked.size >= parkedMax) {
    const [oldest] = core.parked;
    if (oldest !== undefined) giveUp(core, oldest[0], oldest[1]);
  }
  const requestState = randomBytes(24).toString('base64url');
  core.parked.set(requestState, call);
  const inputRequests = Object.fromEntries(call.questions.map(({ key, request }) => [key, request]));
  const result = `{"resultType":"input_required","inputRequests":${JSON.stringify(inputRequests)},"requestState":"${requestState}","_meta":${serverMeta(core)}}`;
  call.parkedMs = monotonicMs();
  call.reply({ status: 200, payload: `{"jsonrpc":"2.0","id":${call.idText},"result":${result}}` });
}

export interface Retry extends Caller {
  readonly document: Document;
  readonly about: string;
}

/** A request that brings back a state. @returns why it is refused, as an error message; null when it was taken */
export function takeRetry(core: Core, retry: Retry): string | null {
  const message = wholeOf(retry.document) ?? (retry.document.value as Json);
  const { requestState, inputResponses } = (message as Json).params as Json;
  const refuse = (reason: string): string => errorText(retry.idText, codes.invalidParams, reason);
  const call = typeof requestState === 'string' ? core.parked.get(requestState) : undefined;
  if (call === undefined) return refuse('requestState is unknown, used or too old; start the request again');
  if (call.method !== (message as Json).method || call.about !== retry.about)
    return refuse('requestState belongs to another request');
  const given = isObject(inputResponses) ? inputResponses : {};
  const isWrong = inputResponses !== undefined && !isObject(inputResponses);
  if (isWrong || Object.values(given).some((value) => !isObject(value)))
    return refuse('inputResponses must be an object of results');
  core.parked.delete(requestState as string);
  call.attach(retry);
  if (call.done !== null) {
    call.reply({ ...call.done, payload: renamed(call.done.payload, retry.idText) });
    return null;
  }
  const open = call.questions.splice(0);
  const answered = open.filter(({ key }) => Object.hasOwn(given, key));
  call.questions.push(...open.filter(({ key }) => !Object.hasOwn(given, key)));
  for (const { key, asked } of answered) answerServerCall(core, asked, { result: given[key] });
  if (call.questions.length > 0) park(core, call);
  return null;
}

/** Ends the waiting of calls whose client has not come back in time. */
export function giveUpParked(core: Core): void {
  const before = monotonicMs() - Math.min(parkedMsMax, core.bounds.sessionIdleMs);
  for (const [state, call] of core.parked) if ((call.parkedMs ?? 0) <= before) giveUp(core, state, call);
}

/** Ends the waiting of all. */
export function giveUpAllParked(core: Core): void {
  for (const [state, call] of core.parked) giveUp(core, state, call);
}

function giveUp(core: Core, state: string, call: ParkedCall): void {
  core.parked.delete(state);
  call.abandon('The client did not come back with its answers');
}

function renamed(payload: Payload, idText: string): Payload {
  const document = readDocument(Buffer.from(payloadText(payload)), 1_000);
  return typeof document === 'string' ? payload : changed(document, { id: idText });
}
