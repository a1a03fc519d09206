import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.ts';
import {
  type Binding,
  checkValueOf,
  kidOf,
  type MasterKey,
  open,
  passesCheck,
  seal,
} from '../../src/secrets/cipher.ts';

const master: MasterKey = { kid: 'k1', key: randomBytes(32) };
const binding: Binding = { userId: 'u-1', typeId: 't-1', field: 'api_key' };

function refusal(fn: () => unknown): { code: string; message: string } {
  try {
    fn();
  } catch (error) {
    if (error instanceof Fault) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was not refused');
}

const generic = { code: 'secrets_unavailable', message: 'the secret cannot be opened' };

describe('a sealed secret', () => {
  it('opens to what it was, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2_000 }), (text) => {
        expect(open(master, binding, seal(master, binding, text).envelope)).toBe(text.toWellFormed());
      }),
    );
  });

  it('has the form that is documented', () => {
    const { envelope, nonce } = seal(master, binding, 'secret');
    const parts = envelope.split('.');
    expect(parts.slice(0, 3)).toEqual(['v1', 'k1', nonce]);
    expect(Buffer.from(parts[2] ?? '', 'base64url')).toHaveLength(12);
    expect(Buffer.from(parts[3] ?? '', 'base64url')).toHaveLength('secret'.length + 16);
    expect(kidOf(envelope)).toBe('k1');
  });

  it('never looks the same twice', () => {
    const envelopes = Array.from({ length: 100 }, () => seal(master, binding, 'x').envelope);
    expect(new Set(envelopes).size).toBe(100);
  });

  it.each([
    ['another user', { ...binding, userId: 'u-2' }],
    ['another type', { ...binding, typeId: 't-2' }],
    ['another field', { ...binding, field: 'other' }],
    ['a binding that moves a separator', { userId: 'u-1\0t-1', typeId: 'api_key', field: 'x' }],
  ])('does not open for %s', (_what, other) => {
    const { envelope } = seal(master, binding, 'secret');
    expect(refusal(() => open(master, other, envelope))).toEqual(generic);
  });

  it('does not open under another key, or another name of the key', () => {
    const { envelope } = seal(master, binding, 'secret');
    expect(refusal(() => open({ kid: 'k1', key: randomBytes(32) }, binding, envelope))).toEqual(generic);
    expect(refusal(() => open({ ...master, kid: 'k2' }, binding, envelope))).toEqual(generic);
    const renamed = envelope.replace('v1.k1.', 'v1.k2.');
    expect(refusal(() => open({ ...master, kid: 'k2' }, binding, renamed))).toEqual(generic);
  });

  it('does not open once any one character is another', () => {
    const { envelope } = seal(master, binding, 'a secret of some length');
    for (let at = 0; at < envelope.length; at += 1) {
      for (const other of ['A', '_', '=', '.', ' ']) {
        if (envelope[at] === other) continue;
        const changed = envelope.slice(0, at) + other + envelope.slice(at + 1);
        expect(
          refusal(() => open(master, binding, changed)),
          changed,
        ).toEqual(generic);
      }
    }
  });

  it('does not open when it is cut, padded, or has a short tag', () => {
    const { envelope } = seal(master, binding, 'secret');
    const [v, kid, nonce, sealed = ''] = envelope.split('.');
    const bytes = Buffer.from(sealed, 'base64url');
    const wrong = [
      '',
      'v1',
      `${envelope}=`,
      `${envelope}.`,
      `${envelope}\n`,
      `${v}.${kid}.${nonce}.`,
      `${v}.${kid}..${sealed}`,
      `${v}..${nonce}.${sealed}`,
      `v2.${kid}.${nonce}.${sealed}`,
      `${v}.${kid}.${nonce}.${bytes.subarray(0, 16).toString('base64url')}`,
      `${v}.${kid}.${nonce}.${bytes.subarray(0, -12).toString('base64url')}`,
      `${v}.${'k'.repeat(33)}.${nonce}.${sealed}`,
      'x'.repeat(1_000_000),
    ];
    for (const text of wrong) expect(refusal(() => open(master, binding, text))).toEqual(generic);
  });

  it('is refused when it is empty or too long to be one', () => {
    expect(refusal(() => seal(master, binding, '')).code).toBe('invalid_field');
    expect(refusal(() => seal(master, binding, 'x'.repeat(70_000))).code).toBe('invalid_field');
  });
});

describe('a check value', () => {
  it('tells one key from another and holds neither', () => {
    const check = checkValueOf(master);
    expect(passesCheck(master, check)).toBe(true);
    expect(passesCheck({ kid: 'k1', key: randomBytes(32) }, check)).toBe(false);
    expect(passesCheck({ ...master, kid: 'k2' }, check)).toBe(false);
    expect(check).not.toContain(master.key.toString('base64url'));
  });
});
