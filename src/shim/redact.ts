// Takes secret values out of text before it may reach the disk: as they are, URL-encoded, JSON-escaped (also twice), in
// hexadecimal, and in base64 at any of its three alignments. It knows values, not shapes: what it was not told it does
// not find.

export interface Redactor {
  (text: string): string;
  /** Longest text one match can take, in bytes: how much must be seen past a place to be sure of it. */
  readonly windowBytes: number;
}

/** Values that are kept at once; of many API keys that took each other's place the oldest are forgotten. */
const learntMax = 16;

export interface LearningRedactor extends Redactor {
  /** From now on this is a secret too. */
  learn(secret: string): void;
}

/** Makes a redactor that can be told of more. */
export function createLearningRedactor(secrets: readonly string[]): LearningRedactor {
  const learnt: string[] = [];
  let current = createRedactor(secrets);
  const redact = (text: string): string => current(text);
  return Object.defineProperties(redact, {
    windowBytes: { get: () => current.windowBytes },
    learn: {
      value(secret: string) {
        learnt.push(secret);
        if (learnt.length > learntMax) learnt.shift();
        current = createRedactor([...secrets, ...learnt]);
      },
    },
  }) as LearningRedactor;
}

export const redactedText = '[redacted]';

/** Shortest run of base64 that is looked for; shorter ones stand in innocent words. */
const base64CharsMin = 6;
/** The same of hexadecimal. */
const hexDigitsMin = 12;
/** Shortest line of a secret of several lines that is looked for by itself. */
const lineCharsMin = 8;
/** Most bytes one UTF-16 unit of a secret can become: eight backslashes and uXXXX, with some to spare. */
const expansionMax = 20;

/**
 * Makes a redactor.
 * @param secrets values to be removed; empty ones are ignored. A secret of several lines is also looked for line by
 *   line, because logs are
 */
export function createRedactor(secrets: readonly string[]): Redactor {
  const values = new Set<string>();
  for (const secret of secrets) {
    if (secret === '') continue;
    values.add(secret);
    const trimmed = secret.trim();
    if (trimmed !== '') values.add(trimmed);
    const lines = secret.split(/\r?\n/);
    if (lines.length > 1) for (const line of lines) if (line.length >= lineCharsMin) values.add(line);
  }
  const sources = new Set<string>();
  let longest = 0;
  // Longest first: of two secrets, one inside the other, the whole one goes.
  for (const value of [...values].sort((a, b) => b.length - a.length)) {
    sources.add(anySpelling(value));
    for (const run of base64Runs(value)) sources.add(run);
    const hex = Buffer.from(value).toString('hex');
    if (hex.length >= hexDigitsMin) sources.add(hex).add(hex.toUpperCase());
    longest = Math.max(longest, value.length);
  }
  if (sources.size === 0) return Object.assign((text: string) => text, { windowBytes: 0 });
  const pattern = new RegExp([...sources].join('|'), 'g');
  return Object.assign((text: string) => text.replace(pattern, redactedText), {
    windowBytes: longest * expansionMax,
  });
}

/** A pattern that takes each character as it is, percent-encoded, or escaped as in JSON. */
function anySpelling(value: string): string {
  let source = '';
  for (const char of value) source += /[A-Za-z0-9]/.test(char) ? char : spellings(char);
  return source;
}

const shortEscapes: Record<string, string> = { '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't' };

function spellings(char: string): string {
  const forms = [literal(char)];
  let percent = '';
  for (const byte of Buffer.from(char)) percent += `%${eitherCase(byte.toString(16).padStart(2, '0'))}`;
  forms.push(percent);
  if (char === ' ') forms.push('\\+');
  let unicode = '';
  for (let i = 0; i < char.length; i++) {
    unicode += `\\\\{1,8}u${eitherCase(char.charCodeAt(i).toString(16).padStart(4, '0'))}`;
  }
  forms.push(unicode);
  if (char === '"' || char === '/' || char === "'") forms.push(`\\\\{1,8}${literal(char)}`);
  if (char === '\\') forms[0] = '\\\\{1,8}';
  const short = shortEscapes[char];
  if (short !== undefined) forms.push(`\\\\{1,8}${short}`);
  return `(?:${forms.join('|')})`;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function eitherCase(hex: string): string {
  return hex.replace(/[a-f]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
}

/** The characters of base64 that the value alone decides, wherever in an encoded text it begins. */
function base64Runs(value: string): string[] {
  const runs: string[] = [];
  const bytes = Buffer.from(value);
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64url');
    const from = before === 0 ? 0 : before + 1;
    const run = text.slice(from, Math.floor(((before + bytes.length) * 8) / 6));
    if (run.length < base64CharsMin) continue;
    runs.push(run.replace(/-/g, '[-+]').replace(/_/g, '[_/]'));
  }
  return runs;
}
