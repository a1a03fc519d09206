// One JSON-RPC document as it came over the wire, and the same with another id. Only what must change is changed: the
// rest passes byte by byte, numbers of any size included. Small documents are parsed; of large ones only the outer
// members are, so that no document costs many times its size in memory.
import { isUtf8 } from 'node:buffer';
import { isObject, type Json } from './messages.ts';
import { type Member, type Scan, type ScanFailure, scan } from './scan.ts';

/** Documents up to this size are simply parsed. */
const smallBytesMax = 64 * 1024;

/** A member of a large document is parsed when it is no longer than this; longer ones are left out. */
const memberBytesMax = 64 * 1024;

/** A large document with more values than this is never built into objects. */
const valuesMax = 100_000;

/** Deeper than any document that has been read. */
const scanDepthMax = 1_000;

export interface Document {
  readonly bytes: Buffer;
  /** The document as text; only of small ones. */
  readonly text: string | null;
  /** The parsed value. Of a large one, an object with the members that are small, and theirs one level down. */
  readonly value: unknown;
  readonly scan: Scan | null;
}

/** Reads a document, or says why it cannot be. */
export function readDocument(bytes: Buffer, depthMax: number): Document | ScanFailure {
  if (bytes.length <= smallBytesMax) return readSmall(bytes, depthMax);
  if (!isUtf8(bytes)) return 'invalid';
  const found = scan(bytes, depthMax);
  if (typeof found === 'string') return found;
  // Parsers differ in which of two equal names they take: what cannot be told apart is not passed on.
  if (found.members === null || found.isAmbiguous) return 'invalid';
  return { bytes, text: null, value: outerOf(bytes, found), scan: found };
}

function readSmall(bytes: Buffer, depthMax: number): Document | ScanFailure {
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'invalid';
  }
  // Fewer brackets than levels: it cannot be too deep.
  if (text.length > depthMax * 2 && isDeeper(text, depthMax)) return 'deep';
  return { bytes, text, value, scan: null };
}

/** Whether valid JSON is nested deeper than that. */
function isDeeper(text: string, depthMax: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at += 1;
      for (let byte = text.charCodeAt(at); byte !== 0x22; byte = text.charCodeAt(at))
        at += byte === 0x5c ? 2 : 1;
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return false;
}

/** The small members of a large document; a large object among them is given by its own small members. */
function outerOf(bytes: Buffer, found: Scan): Json {
  const outer: Json = {};
  for (const member of found.members ?? []) {
    const inner = found.inner.get(member.key);
    const isSmall = member.end - member.start <= memberBytesMax;
    if (isSmall) put(outer, member.key, parse(bytes, member));
    else if (inner === undefined) put(outer, member.key, left);
    else {
      const object: Json = {};
      for (const part of inner)
        put(object, part.key, part.end - part.start <= memberBytesMax ? parse(bytes, part) : left);
      put(outer, member.key, object);
    }
  }
  return outer;
}

/** Stands for a member that was too long to be parsed. */
const left: Json = Object.freeze({});

function put(object: Json, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

function parse(bytes: Buffer, { start, end }: Member): unknown {
  return JSON.parse(bytes.toString('utf8', start, end));
}

/** The whole value of a document, large or not; undefined when it would cost too much memory. */
export function wholeOf(document: Document): unknown {
  if (document.scan === null) return document.value;
  return document.scan.values > valuesMax ? undefined : JSON.parse(document.bytes.toString('utf8'));
}

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

/** Lines are ended by a newline, events by one too: white space between tokens must not hold one. */
export function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, ' ') : text;
}

/** The document as text in one line. */
export function textOf(document: Document): string {
  return oneLine(document.text ?? document.bytes.toString('utf8'));
}

/** A document made from a value. */
export function documentOf(value: unknown): Document {
  const text = JSON.stringify(value);
  return { bytes: Buffer.from(text), text, value, scan: null };
}
