// One JSON-RPC document as it came over the wire. Small documents are parsed; of large ones only the outer members are,
// so that no document costs many times its size in memory. It refuses what is not valid, too deep, or ambiguous.
import { isUtf8 } from 'node:buffer';
import type { Json } from './messages.ts';
import { type Member, type Scan, type ScanFailure, scan } from './scan.ts';

/** Documents up to this size are simply parsed. */
const smallBytesMax = 64 * 1024;

/** A member of a large document is parsed when it is no longer than this; longer ones are left out. */
const memberBytesMax = 64 * 1024;

/** A large document with more values than this is never built into objects. */
const valuesMax = 100_000;

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
