// A legacy child's answers in the words of 2026-07-28: results say what they are and how long they keep, errors bear
// the numbers the revision gives them. Pure.
import { codes } from './answers.ts';
import { metaKeys, modernCodes } from './envelope.ts';
import { isObject } from './messages.ts';
import type { Core, Json } from './state.ts';

export interface ModernAnswer {
  readonly status: number;
  readonly text: string;
}

const cacheable = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
]);

/** An answer of a legacy child, under the client's id. */
export function modernAnswer(
  core: Core,
  method: string,
  message: Json,
  text: string,
  idText: string,
): ModernAnswer {
  if (message.error !== undefined) return modernError(message.error, idText);
  const added = resultFields(core, method);
  const { result } = message;
  if (
    isObject(result) &&
    result._meta === undefined &&
    result.resultType === undefined &&
    result.ttlMs === undefined
  ) {
    const spliced = splice(text, String(message.id), idText, added);
    if (spliced !== null) return { status: 200, text: spliced };
  }
  const body = isObject(result) ? result : {};
  const fields = JSON.parse(`{${added}}`) as Json;
  const merged = { ...fields, ...body, _meta: { ...(body._meta as Json), ...(fields._meta as Json) } };
  return { status: 200, text: `{"jsonrpc":"2.0","id":${idText},"result":${JSON.stringify(merged)}}` };
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
    text: `{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(body)}}`,
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
