// The same document with another id, or with what else must change; the rest passes byte by byte, numbers of any size
// included. Where a name stands twice the document is rebuilt from what was parsed, so that all parsers agree on it.
import { type Document, oneLine } from './document.ts';
import { isObject, type Json } from './messages.ts';
import { type Member, scan } from './scan.ts';

/** Deeper than any document that has been read. */
const scanDepthMax = 1_000;

/** What to put in the place of a document's own, each as JSON text. */
export interface Changes {
  readonly id?: string;
  /** The `_meta` of params, where there is one. */
  readonly meta?: string;
  /** The progress token in params, where there is one. */
  readonly progressToken?: string;
  /** The `_meta` of result, where there is one. */
  readonly resultMeta?: string;
  /** Members that result gets besides its own: text without braces. */
  readonly resultFields?: string;
}

const places = [
  ['params', '_meta', 'meta'],
  ['params', 'progressToken', 'progressToken'],
  ['result', '_meta', 'resultMeta'],
] as const;

/** The document with these changes, as text in one line. */
export function changed(document: Document, changes: Changes): string {
  if (document.text !== null && changes.id !== undefined && isOnlyId(changes)) {
    const quick = quickly(document.text, document.value as Json, changes.id);
    if (quick !== null) return quick;
  }
  const parts = changedParts(document, changes);
  return parts === null
    ? rebuilt(document.value as Json, changes)
    : oneLine(Buffer.concat(parts).toString('utf8'));
}

function isOnlyId({ meta, progressToken, resultMeta, resultFields }: Changes): boolean {
  return (meta ?? progressToken ?? resultMeta ?? resultFields) === undefined;
}

/** The same as bytes, most of them not copied; null when a name stands twice. */
export function changedParts(document: Document, changes: Changes): Buffer[] | null {
  const { bytes } = document;
  const found = document.scan ?? scan(bytes, scanDepthMax);
  if (typeof found === 'string' || found.isAmbiguous) return null;
  const edits: [start: number, end: number, text: string][] = [];
  const replace = (member: Member | undefined, text: string | undefined): void => {
    if (member !== undefined && text !== undefined) edits.push([member.start, member.end, text]);
  };
  replace(
    found.members?.find((member) => member.key === 'id'),
    changes.id,
  );
  for (const [outer, inner, change] of places)
    replace(
      found.inner.get(outer)?.find((member) => member.key === inner),
      changes[change],
    );
  const result = found.members?.find((member) => member.key === 'result');
  if (changes.resultFields !== undefined && result !== undefined) {
    const isEmpty = (found.inner.get('result')?.length ?? 0) === 0;
    edits.push([
      result.start + 1,
      result.start + 1,
      isEmpty ? changes.resultFields : `${changes.resultFields},`,
    ]);
  }
  edits.sort((a, b) => a[0] - b[0]);
  const parts: Buffer[] = [];
  let at = 0;
  for (const [start, end, text] of edits) {
    parts.push(bytes.subarray(at, start), Buffer.from(text));
    at = end;
  }
  parts.push(bytes.subarray(at));
  return parts;
}

/** Where a name stands twice, what JSON.parse made of it is what counts. */
function rebuilt(value: Json, changes: Changes): string {
  const made: Json = { ...value };
  if (changes.id !== undefined) made.id = JSON.parse(changes.id);
  for (const [outer, inner, change] of places) {
    const text = changes[change];
    const object = made[outer];
    if (text === undefined || !isObject(object) || !Object.hasOwn(object, inner)) continue;
    made[outer] = { ...object, [inner]: JSON.parse(text) };
  }
  if (changes.resultFields !== undefined && isObject(made.result))
    made.result = { ...(JSON.parse(`{${changes.resultFields}}`) as Json), ...made.result };
  return JSON.stringify(made);
}

/** Most programs write the id last or second. There it can be changed by cutting text, if it stands nowhere else. */
function quickly(text: string, value: Json, idText: string): string | null {
  const own = JSON.stringify(value.id);
  const at = text.indexOf('"id"');
  if (at === -1 || at !== text.lastIndexOf('"id"') || text.includes('\\u00')) return null;
  if (text.includes('\n') || text.includes('\r')) return null;
  const isHead = at === 17 && text.startsWith('{"jsonrpc":"2.0","id":');
  if (isHead && text.startsWith(own, 22) && text.charCodeAt(22 + own.length) === 0x2c)
    return `{"jsonrpc":"2.0","id":${idText}${text.slice(22 + own.length)}`;
  const start = at + 5;
  if (text.charCodeAt(at - 1) !== 0x2c || text.charCodeAt(at + 4) !== 0x3a) return null;
  if (start + own.length !== text.length - 1 || !text.startsWith(own, start) || !text.endsWith('}'))
    return null;
  return `${text.slice(0, start)}${idText}}`;
}
