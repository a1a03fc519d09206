// Makes one line of log out of bytes nobody vouches for: decoded, without escape sequences, NUL and half characters,
// without secrets, and not longer than its bound. Never throws; what could not be kept is said in the metadata.
import type { Redactor } from './redact.ts';

export interface LogText {
  readonly msg: string;
  /** Set when the line was cut. */
  readonly meta?: { readonly truncated: true; readonly bytes: number };
}

export interface LogTextOptions {
  readonly redact: Redactor;
  /** Longest line that is kept, bytes of UTF-8. */
  readonly lineBytesMax: number;
}

// CSI, OSC (ended by BEL or ST) and two-character sequences of ECMA-48.
const escapeSequences =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what is looked for
  /\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|\u001b[ -/]*[0-~]?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what is looked for
const nul = /\u0000/g;

/** Text of the shim's own, made safe to store: well-formed, no NUL, no secrets. */
export function cleanText(text: string, redact: Redactor): string {
  const plain = text.includes('\u001b') || text.includes('\u009b') ? text.replace(escapeSequences, '') : text;
  const safe = plain.includes('\u0000') ? plain.replace(nul, '\ufffd') : plain;
  return redact(safe.toWellFormed());
}

/** Text with what stands in metadata cleaned the same way: strings at any depth, keys too. */
export function cleanMeta(value: unknown, redact: Redactor, depth = 0): unknown {
  if (typeof value === 'string') return cleanText(value, redact);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 8) return '[deep]';
  if (Array.isArray(value)) return value.map((item) => cleanMeta(item, redact, depth + 1));
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, item]) => [cleanText(key, redact), cleanMeta(item, redact, depth + 1)]),
  );
}

/**
 * Makes a line of log.
 * @param line the line, or its first `lineBytesMax` + `redact.windowBytes` bytes
 * @param sizeBytes how long the whole line was
 */
export function logText(line: Buffer, sizeBytes: number, options: LogTextOptions): LogText {
  const { redact, lineBytesMax } = options;
  let end = line.length;
  if (end === sizeBytes && end > 0 && line[end - 1] === 0x0d) end -= 1;
  let msg = cleanText(line.toString('utf8', 0, end), redact);
  // Of a secret that begins before the end of what is known only a part is there, and no pattern finds a part.
  const unsure = sizeBytes > line.length;
  if (!unsure && msg.length * 3 <= lineBytesMax) return { msg };
  const known = Buffer.byteLength(msg) - (unsure ? redact.windowBytes : 0);
  const keep = Math.min(lineBytesMax, Math.max(known, 0));
  if (!unsure && known <= lineBytesMax) return { msg };
  msg = cutText(msg, keep);
  return { msg, meta: { truncated: true, bytes: sizeBytes } };
}

/** The beginning of a text, at most `bytesMax` of UTF-8, no character halved. */
export function cutText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
