// Modern clients (2026-07-28): stateless, one POST a request. In front of a legacy child their requests are
// translated, in front of a modern one passed on; either way headers and envelope are checked here, for a child on
// pipes sees no headers.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { accept, answerJson, codes, refuse } from './answers.ts';
import { addCall, toChild } from './calls.ts';
import { type Document, textOf } from './document.ts';
import {
  isRefusal,
  metaKeys,
  modernCodes,
  modernVersion,
  readEnvelope,
  withoutEnvelope,
} from './envelope.ts';
import { park, takeRetry } from './input-required.ts';
import { legacyVersions } from './legacy.ts';
import { takeListen } from './listen.ts';
import { isObject, type Json, objectIn, stringIn } from './messages.ts';
import { ModernCall } from './modern-call.ts';
import { paramMismatch } from './param-headers.ts';
import type { Core, Envelope } from './state.ts';
import { resultFields } from './translate.ts';
import { logLevels, lowestLevel, tellChild, tokenTextOf } from './wants.ts';
import { changed } from './wire.ts';

/** Methods of the legacy era that the revision has removed; a legacy child would still serve them. */
const removed = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
]);

/** Versions this endpoint serves, newest first. */
function supportedVersions(core: Core): readonly string[] {
  return core.era === 'modern' ? [modernVersion] : [modernVersion, ...legacyVersions];
}

/** Answers a modern request. */
export function takeModernRequest(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  document: Document,
): void {
  const message = document.value as Json;
  const idText = JSON.stringify(message.id);
  const envelope = readEnvelope(message, request.headers, supportedVersions(core));
  if (isRefusal(envelope)) return void refuse(response, { ...envelope, idText });
  const method = message.method as string;
  if (method === 'subscriptions/listen') return void takeListen(core, response, document, idText);
  if (core.era === 'legacy') {
    if (removed.has(method) || method.startsWith('tasks/'))
      return void refuse(response, {
        status: 404,
        code: codes.methodNotFound,
        idText,
        message: `${method} is not served in ${modernVersion}`,
      });
    if (method === 'server/discover') return void answerJson(response, 200, discovery(core, idText));
  }
  const mismatch = method === 'tools/call' ? paramMismatch(core, message, request.headers) : null;
  if (mismatch !== null)
    return void refuse(response, {
      status: 400,
      code: modernCodes.headerMismatch,
      idText,
      message: mismatch,
    });
  const progressToken = tokenTextOf(objectIn(message.params, '_meta')?.progressToken);
  const about = stringIn(message.params, 'name') ?? stringIn(message.params, 'uri') ?? '';
  if (core.era === 'legacy' && isObject(message.params) && message.params.requestState !== undefined) {
    const refused = takeRetry(core, { document, response, idText, progressToken, envelope, about });
    if (refused !== null) answerJson(response, 200, refused);
    return;
  }
  const taker = new ModernCall({ core, method, about, onQuestions: (asking) => park(core, asking) });
  taker.attach({ response, idText, progressToken, envelope });
  const call = addCall(core, { idText, method, session: null, response: null, taker });
  taker.call = call;
  if (core.era === 'legacy') askForMessages(core, envelope);
  toChild(core, forChild(core, document, call.childId, progressToken !== null));
}

/** The request as the child gets it: under our id and token, and without the envelope where it knows none. */
function forChild(core: Core, document: Document, childId: number, hasToken: boolean): string {
  const message = document.value as Json;
  const params = message.params as Json;
  const meta = { ...objectIn(params, '_meta') };
  if (hasToken) meta.progressToken = childId;
  if (core.era === 'modern')
    return changed(
      document,
      hasToken ? { id: String(childId), meta: JSON.stringify(meta) } : { id: String(childId) },
    );
  if (document.scan === null && params.inputResponses !== undefined)
    return JSON.stringify({
      ...message,
      id: childId,
      params: withoutEnvelope(params, hasToken ? childId : null),
    });
  for (const key of Object.values(metaKeys)) delete meta[key];
  return changed(document, { id: String(childId), meta: JSON.stringify(meta) });
}

/** A notification of a modern client. The revision defines none over HTTP; those of extensions are passed on. */
export function takeModernNotification(core: Core, response: ServerResponse, document: Document): void {
  accept(response);
  const message = document.value as Json;
  const method = String(message.method);
  if (method === 'notifications/cancelled' || method === 'notifications/roots/list_changed') return;
  if (method === 'notifications/initialized' || method === 'notifications/progress') return;
  if (core.era === 'modern' || document.scan !== null) toChild(core, textOf(document));
  else toChild(core, JSON.stringify({ ...message, params: withoutEnvelope(message.params, null) }));
}

/** The answer to server/discover, from the child's answer to initialize. */
function discovery(core: Core, idText: string): string {
  const server = core.server;
  const { tasks, ...capabilities } = server?.capabilities ?? {};
  const result: Json = { supportedVersions: supportedVersions(core), capabilities };
  if (server?.instructions !== undefined) result.instructions = server.instructions;
  const fields = JSON.parse(`{${resultFields(core, 'tools/list')}}`) as Json;
  return `{"jsonrpc":"2.0","id":${idText},"result":${JSON.stringify({ ...result, ...fields })}}`;
}

/** The child is told to say as much as this request wants to hear. */
function askForMessages(core: Core, { logLevel }: Envelope): void {
  if (logLevel === null || core.server?.capabilities.logging === undefined) return;
  const wanted = Math.min(logLevel, lowestLevel(core) ?? logLevel);
  if (core.childLevel !== null && core.childLevel <= wanted) return;
  core.childLevel = wanted;
  tellChild(core, 'logging/setLevel', { level: logLevels[wanted] });
}

/** The envelope of the shim's own requests to a modern child. */
export function ownEnvelope(): Json {
  return {
    [metaKeys.version]: modernVersion,
    [metaKeys.client]: { name: 'minimcp', version: '0.1.0' },
    [metaKeys.capabilities]: {},
  };
}
