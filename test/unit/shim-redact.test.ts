import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanMeta, cutText, logText } from '../../src/shim/log-text.ts';
import { createRedactor, redactedText } from '../../src/shim/redact.ts';

const secret = fc.oneof(
  fc.string({ minLength: 8, maxLength: 60 }),
  fc.string({ minLength: 8, maxLength: 40, unit: 'binary' }).map((text) => text.toWellFormed()),
  fc.stringMatching(/^[A-Za-z0-9_+/"\\ -]{8,60}$/),
);
const around = fc.stringMatching(/^[a-z0-9 ]{0,20}$/);

function expectGone(value: string, text: string): void {
  const out = createRedactor([value])(text);
  expect(out).not.toContain(value);
  expect(out).toContain(redactedText);
}

describe('redaction', () => {
  it('removes a secret as it is, URL-encoded, form-encoded, in hexadecimal, and JSON-escaped once and twice', () => {
    fc.assert(
      fc.property(secret, around, around, (value, before, after) => {
        // A secret that is one with what we put in its place cannot be told from it.
        fc.pre(value.trim().length >= 8 && !redactedText.includes(value.trim()));
        const once = JSON.stringify(value).slice(1, -1);
        const forms = [
          value,
          encodeURIComponent(value),
          encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase()),
          new URLSearchParams({ value }).toString().slice('value='.length),
          once,
          JSON.stringify(once).slice(1, -1),
          Buffer.from(value).toString('hex'),
          Buffer.from(value).toString('hex').toUpperCase(),
        ];
        for (const form of forms) {
          const out = createRedactor([value])(`${before}${form}${after}`);
          expect(out).not.toContain(form);
          expect(out).toContain(redactedText);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('removes a secret in base64, whatever stands before and after it', () => {
    const bytes = fc.uint8Array({ maxLength: 12 });
    fc.assert(
      fc.property(
        secret,
        bytes,
        bytes,
        fc.constantFrom('base64' as const, 'base64url' as const),
        (...drawn) => {
          const [value, before, after, encoding] = drawn;
          const text = Buffer.concat([before, Buffer.from(value), after]).toString(encoding);
          const out = createRedactor([value])(`Authorization: Basic ${text}`);
          expect(out).toContain(redactedText);
          // Of the secret's own characters at most the two shared with its neighbours are left.
          const left = out.replace(redactedText, '').length - 'Authorization: Basic '.length;
          expect(left).toBeLessThanOrEqual(Math.ceil(((before.length + after.length) * 4) / 3) + 6);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('removes a secret of several lines line by line', () => {
    const pem = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASC\n-----END KEY-----\n';
    const redact = createRedactor([pem]);
    for (const line of pem.trim().split('\n')) expect(redact(`  ${line}`)).toBe(`  ${redactedText}`);
    expect(redact(JSON.stringify(pem))).toBe(JSON.stringify(redactedText));
  });

  it('takes the whole of two secrets of which one begins the other', () => {
    expect(createRedactor(['token-1234', 'token-1234-5678'])('token-1234-5678')).toBe(redactedText);
  });

  it('leaves text alone when there is nothing to hide', () => {
    expect(createRedactor(['', ''])('a b')).toBe('a b');
  });

  it('treats every character of a secret as itself', () => {
    for (const value of ['a.b*c+d?e', '(x|y)[z]{2}^$', 'back\\slash\\\\two', '100%25 sure', 'päß wörd ✓ 🔑'])
      expectGone(value, `<${value}>`);
  });
});

describe('a line of log', () => {
  const options = { redact: createRedactor(['s3cr3t-value-0123456789']), lineBytesMax: 100 };
  const line = (text: string | Buffer) =>
    logText(Buffer.from(text as string), Buffer.from(text as string).length, options);

  it('has no escape sequences, NUL or halves of characters', () => {
    expect(line('\u001b[1;31merror\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u001b\\ done\r').msg).toBe(
      'error link done',
    );
    expect(line('a\u0000b').msg).toBe('a\ufffdb');
    expect(line(Buffer.from([0x61, 0xff, 0xed, 0xa0, 0x80, 0x62])).msg).toMatch(/^a\ufffd+b$/);
  });

  it('is redacted also where an escape sequence cuts the secret', () => {
    expect(line('key s3cr3t-\u001b[1mvalue-0123456789').msg).toBe(`key ${redactedText}`);
  });

  it('is cut at the bound, between characters, and says so', () => {
    const long = '✓'.repeat(50);
    expect(line(long)).toEqual({ msg: '✓'.repeat(33), meta: { truncated: true, bytes: 150 } });
    expect(cutText('a✓', 3)).toBe('a');
  });

  it('shows no part of a secret, wherever the cut falls', () => {
    const value = 's3cr3t-value-0123456789';
    const keepBytes = options.lineBytesMax + options.redact.windowBytes;
    for (let at = 0; at < keepBytes + 10; at++) {
      for (const many of [0, 3]) {
        const text = `${value.repeat(many)}${'x'.repeat(at)}${value}${'y'.repeat(keepBytes)}`;
        const { msg } = logText(Buffer.from(text.slice(0, keepBytes)), text.length, options);
        expect(msg).not.toContain('s3c');
        expect(Buffer.byteLength(msg)).toBeLessThanOrEqual(options.lineBytesMax);
      }
    }
  });

  it('cleans metadata at every depth', () => {
    const meta = { a: ['s3cr3t-value-0123456789', { 's3cr3t-value-0123456789': 1 }], n: 1, no: null };
    expect(cleanMeta(meta, options.redact)).toEqual({
      a: [redactedText, { [redactedText]: 1 }],
      n: 1,
      no: null,
    });
  });
});
