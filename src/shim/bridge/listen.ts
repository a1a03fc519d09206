// subscriptions/listen: long streams of change notifications for modern clients. In front of a legacy child the shim
// serves them from what the child says unasked; in front of a modern one it passes them through under its own id.
import type { ServerResponse } from 'node:http';
import type { ChildLink } from '../seams.ts';
import { answerJson, codes, errorText, isOpen } from './answers.ts';
import { toChild } from './calls.ts';
import type { Document } from './document.ts';
import { metaKeys } from './envelope.ts';
import { isObject, type Json, objectIn } from './messages.ts';
import type { Core, Listener } from './state.ts';
import { eventText, openSse, writeSse } from './streams.ts';
import { serverMeta } from './translate.ts';
import { isSubscribedElsewhere, subscriptionsMax, tellChild, uriLengthMax } from './wants.ts';
import { changed } from './wire.ts';

const changes: Readonly<Record<string, readonly [filter: string, capability: string]>> = {
  'notifications/tools/list_changed': ['toolsListChanged', 'tools'],
  'notifications/prompts/list_changed': ['promptsListChanged', 'prompts'],
  'notifications/resources/list_changed': ['resourcesListChanged', 'resources'],
};

const acknowledged = 'notifications/subscriptions/acknowledged';

/** Longest request that is kept for a child to come; a stream with a longer one ends there. */
const requestLengthMax = 64 * 1024;

/** Opens a stream. */
export function takeListen(core: Core, response: ServerResponse, document: Document, idText: string): void {
  const message = document.value as Json;
  const refuse = (code: number, reason: string): void =>
    answerJson(response, 200, errorText(idText, code, reason));
  const wanted = objectIn(message.params, 'notifications');
  const uris = wanted?.resourceSubscriptions ?? [];
  if (wanted === undefined || !Array.isArray(uris) || uris.some((uri) => typeof uri !== 'string'))
    return void refuse(codes.invalidParams, 'params.notifications must be a subscription filter');
  if (core.listeners.size >= core.bounds.sessionsMax)
    return void refuse(codes.internal, 'Too many subscriptions are open');
  if (uris.length > subscriptionsMax || uris.some((uri: string) => uri.length > uriLengthMax))
    return void refuse(codes.invalidParams, 'Too many resources, or too long a URI');
  const childId = core.nextId++;
  const request = core.era === 'modern' ? changed(document, { id: String(childId) }) : null;
  const listener: Listener = {
    childId,
    request: request === null || request.length > requestLengthMax ? null : request,
    acknowledged: false,
    idText,
    response,
    methods: new Set(),
    subscriptions: new Set(),
  };
  core.listeners.add(listener);
  openSse(response);
  response.once('close', () => forgetListener(core, listener));
  if (request !== null) return void toChild(core, request);
  const honored = honor(core, listener, wanted, uris as string[]);
  tell(core, listener, acknowledged, { notifications: honored });
  if (Object.keys(honored).length === 0) endListener(core, listener);
}

/** The part of a filter the child can serve; subscribes to its resources. */
function honor(core: Core, listener: Listener, wanted: Json, uris: readonly string[]): Json {
  const capabilities = core.server?.capabilities;
  const honored: Json = {};
  for (const [method, [filter, capability]] of Object.entries(changes)) {
    if (wanted[filter] !== true || objectIn(capabilities, capability)?.listChanged !== true) continue;
    honored[filter] = true;
    listener.methods.add(method);
  }
  if (uris.length > 0 && objectIn(capabilities, 'resources')?.subscribe === true) {
    honored.resourceSubscriptions = uris;
    for (const uri of uris) {
      if (!isSubscribedElsewhere(core, listener, uri)) tellChild(core, 'resources/subscribe', { uri });
      listener.subscriptions.add(uri);
    }
  }
  return honored;
}

/** Passes a change of a legacy child to the streams that asked for it. */
export function tellListeners(core: Core, message: Json): void {
  const method = String(message.method);
  const params = isObject(message.params) ? message.params : {};
  for (const listener of core.listeners) {
    const wants =
      method === 'notifications/resources/updated'
        ? listener.subscriptions.has(String(params.uri))
        : listener.methods.has(method);
    if (wants) tell(core, listener, method, params);
  }
}

/** Opens the streams there are with the child that has just taken the place of another. */
export function listenAgain(core: Core): void {
  if (core.era === 'legacy') return;
  for (const listener of [...core.listeners]) {
    if (listener.request === null) endListener(core, listener);
    else toChild(core, listener.request);
  }
}

/** Passes on what a modern child says on a subscription. False: it names none of ours. */
export function takeOfSubscription(core: Core, link: ChildLink, message: Json): boolean {
  const meta = objectIn(message.params, '_meta');
  const id = meta?.[metaKeys.subscription];
  if (id === undefined) return false;
  for (const listener of core.listeners) {
    if (listener.childId !== id) continue;
    // One that has been replaced is not heard twice, nor is the client told twice that its stream is open.
    const again = message.method === acknowledged && listener.acknowledged;
    if (message.method === acknowledged) listener.acknowledged = true;
    if (link === core.link && !again) tell(core, listener, String(message.method), message.params as Json);
    return true;
  }
  return false;
}

/** The child's answer to a subscription: it has ended it, or refused it. False: it answers none of ours. */
export function takeListenAnswer(core: Core, message: Json): boolean {
  for (const listener of core.listeners) {
    if (listener.childId !== message.id) continue;
    const result = objectIn(message, 'result');
    const meta = { ...objectIn(result, '_meta'), [metaKeys.subscription]: JSON.parse(listener.idText) };
    const answer = result === undefined ? message : { ...message, result: { ...result, _meta: meta } };
    core.listeners.delete(listener);
    end(core, listener, JSON.stringify({ ...answer, id: JSON.parse(listener.idText) }));
    return true;
  }
  return false;
}

function tell(core: Core, listener: Listener, method: string, params: Json): void {
  const meta = { ...objectIn(params, '_meta'), [metaKeys.subscription]: JSON.parse(listener.idText) };
  const message = { jsonrpc: '2.0', method, params: { ...params, _meta: meta } };
  writeSse(core, listener.response, eventText(JSON.stringify(message)));
}

/** Ends a stream as the revision wants it: with the answer to the request that opened it. */
function endListener(core: Core, listener: Listener): void {
  const meta = {
    ...(JSON.parse(serverMeta(core)) as Json),
    [metaKeys.subscription]: JSON.parse(listener.idText),
  };
  const result = { resultType: 'complete', _meta: meta };
  core.listeners.delete(listener);
  end(core, listener, JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(listener.idText), result }));
}

function end(core: Core, { response }: Listener, text: string): void {
  if (isOpen(response) && writeSse(core, response, eventText(text))) response.end();
}

/** Ends all streams: the child is gone, or the shim is. */
export function endAllListeners(core: Core): void {
  for (const listener of [...core.listeners]) endListener(core, listener);
}

/** The client has closed its stream: what only it wanted is taken back. */
function forgetListener(core: Core, listener: Listener): void {
  if (!core.listeners.delete(listener) || core.link === null) return;
  if (core.era === 'modern') {
    const params = { requestId: listener.childId, reason: 'The client closed the stream' };
    toChild(core, JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }));
    return;
  }
  for (const uri of listener.subscriptions)
    if (!isSubscribedElsewhere(core, listener, uri)) tellChild(core, 'resources/unsubscribe', { uri });
}
