// A legacy child's answers in the words of 2026-07-28: results say what they are and how long they keep, errors bear
// the numbers the revision gives them. Pure.
import { codes } from './answers.ts';
import type { Document } from './document.ts';
import { metaKeys, modernCodes } from './envelope.ts';
import { isObject, type Json } from './messages.ts';
import type { Core, ModernAnswer } from './state.ts';
import { changed, changedParts } from './wire.ts';

const cacheable = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
]);

/** An answer of a legacy child, under the client's id. */
export function modernAnswer(core: Core, method: string, document: Document, idText: string): ModernAnswer {
  const message = document.value as Json;
  if (message.error !== undefined) return modernError(message.error, idText);
  if (!isObject(message.result))
    return {
      status: 200,
      payload: `{"jsonrpc":"2.0","id":${idText},"result":{${resultFields(core, method)}}}`,
    };
  const { _meta, resultType, ttlMs, cacheScope } = message.result;
  const isPlain = (_meta ?? resultType ?? ttlMs ?? cacheScope) === undefined;
  if (isPlain && document.text !== null) {
    const payload = splice(document.text, String(message.id), idText, resultFields(core, method));
    if (payload !== null) return { status: 200, payload };
  }
  const fields = JSON.parse(`{${resultFields(core, method)}}`) as Json;
  const meta = _meta === undefined ? null : JSON.stringify({ ...(_meta as Json), ...(fields._meta as Json) });
  for (const key of Object.keys(fields)) if (Object.hasOwn(message.result, key)) delete fields[key];
  const added = JSON.stringify(fields).slice(1, -1);
  const changes = {
    id: idText,
    ...(added !== '' && { resultFields: added }),
    ...(meta !== null && { resultMeta: meta }),
  };
  const parts = document.scan === null ? null : changedParts(document, changes);
  return { status: 200, payload: parts ?? changed(document, changes) };
}

/** The members every result of that method gets, as JSON text. */
export function resultFields(core: Core, method: string): string {
  const keep = cacheable.has(method) ? '"ttlMs":0,"cacheScope":"private",' : '';
  return `"resultType":"complete",${keep}"_meta":${serverMeta(core)}`;
}

/** The server's name for itself, as a `_meta` object. */
export function serverMeta(core: Core): string {
  const info = core.server?.serverInfo;
  return JSON.stringify(info === undefined ? {} : { [metaKeys.server]: info });
}

/** Puts members into the result and another id, in the two shapes nearly every server writes; null in any other. */
function splice(text: string, id: string, idText: string, added: string): string | null {
  if (text.includes('\r')) return null;
  const tail = `,"jsonrpc":"2.0","id":${id}}`;
  if (text.startsWith('{"result":{') && text.endsWith(tail)) {
    const rest = text.slice(11, -tail.length);
    return `{"result":{${added}${rest === '}' ? '' : ','}${rest},"jsonrpc":"2.0","id":${idText}}`;
  }
  const head = `{"jsonrpc":"2.0","id":${id},"result":{`;
  if (text.startsWith(head)) {
    const rest = text.slice(head.length);
    return `{"jsonrpc":"2.0","id":${idText},"result":{${added}${rest.startsWith('}') ? '' : ','}${rest}`;
  }
  return null;
}

function modernError(error: unknown, idText: string): ModernAnswer {
  const { code, message, data } = isObject(error) ? error : {};
  const number = modernCode(Number.isSafeInteger(code) ? (code as number) : codes.internal);
  const body: Json = { code: number, message: typeof message === 'string' ? message : 'The server failed' };
  if (data !== undefined) body.data = data;
  return {
    status: statusOf(number),
    payload: `{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(body)}}`,
  };
}

/** Old codes the revision forbids, and numbers it keeps for itself. */
function modernCode(code: number): number {
  if (code === -32002) return codes.invalidParams;
  return code <= -32020 && code >= -32099 ? codes.internal : code;
}

/** The HTTP status of an error that came from the child. */
export function statusOf(code: unknown): number {
  if (code === codes.methodNotFound) return 404;
  const isProtocol = Object.values(modernCodes).includes(code as never);
  return isProtocol ? 400 : 200;
}
