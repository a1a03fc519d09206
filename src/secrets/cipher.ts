// Sealing and opening of one secret: AES-256-GCM in a text envelope, v1.<kid>.<nonce>.<ciphertext and tag>, bound to
// whose it is and what for. Pure. It refuses everything that is not exactly such an envelope, and every failure to
// open is the same Fault secrets_unavailable: it does not say whether key, owner or bytes were wrong.
import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Fault } from '../base/errors.ts';

const version = 'v1';
const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;
/** Length of a master key, bytes. */
export const keyBytes = 32;
/** Longest secret, bytes of UTF-8. */
const secretBytesMax = 64 * 1024;
const envelopeCharsMax = 100 * 1024;
const kidPattern = /^[A-Za-z0-9_-]{1,32}$/;

export interface MasterKey {
  /** Names the key in envelopes; letters, digits, "_" and "-", at most 32. */
  readonly kid: string;
  readonly key: Buffer;
}

/** What a sealed secret is bound to: opened for anyone or anything else, it fails. */
export interface Binding {
  readonly userId: string;
  readonly typeId: string;
  readonly field: string;
}

export interface Sealed {
  readonly envelope: string;
  /** The nonce alone, base64url, for the column of its own. */
  readonly nonce: string;
}

/** Seals a secret under a fresh nonce. */
export function seal(master: MasterKey, binding: Binding, plaintext: string): Sealed {
  const bytes = Buffer.from(plaintext, 'utf8');
  if (bytes.length === 0 || bytes.length > secretBytesMax) {
    throw new Fault('invalid_field', `a secret must be 1 to ${secretBytesMax} bytes long`);
  }
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, master.key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(bound(master.kid, binding));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  bytes.fill(0);
  const nonceText = nonce.toString('base64url');
  return {
    envelope: [version, master.kid, nonceText, sealed.toString('base64url')].join('.'),
    nonce: nonceText,
  };
}

/** Opens an envelope. @throws Fault secrets_unavailable, whatever is wrong with it */
export function open(master: MasterKey, binding: Binding, envelope: string): string {
  const parts = parse(envelope);
  if (parts.kid !== master.kid) throw cannotOpen();
  try {
    // Without authTagLength Node accepts a tag of four bytes.
    const decipher = createDecipheriv(algorithm, master.key, parts.nonce, { authTagLength: tagBytes });
    decipher.setAAD(bound(master.kid, binding));
    decipher.setAuthTag(parts.sealed.subarray(-tagBytes));
    // What update returns is not authenticated before final has agreed.
    const head = decipher.update(parts.sealed.subarray(0, -tagBytes));
    return Buffer.concat([head, decipher.final()]).toString('utf8');
  } catch {
    throw cannotOpen();
  }
}

/** The master key an envelope names. @throws Fault secrets_unavailable */
export function kidOf(envelope: string): string {
  return parse(envelope).kid;
}

/** Tells a master key from another without giving it away; kept in crypto_keys. */
export function checkValueOf(master: MasterKey): string {
  return createHmac('sha256', master.key).update(`minimcp check value\0${master.kid}`).digest('base64url');
}

/** Whether a check value is that of this key. */
export function passesCheck(master: MasterKey, checkValue: string): boolean {
  const expected = Buffer.from(checkValueOf(master));
  const given = Buffer.from(checkValue);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function isKid(text: string): boolean {
  return kidPattern.test(text);
}

/** The one thing ever said about a secret that does not open. */
export function cannotOpen(): Fault {
  return new Fault('secrets_unavailable', 'the secret cannot be opened');
}

function bound(kid: string, { userId, typeId, field }: Binding): Buffer {
  const parts = [version, kid, userId, typeId, field];
  if (parts.some((part) => part === '' || part.includes('\0'))) throw cannotOpen();
  return Buffer.from(parts.join('\0'), 'utf8');
}

function parse(envelope: string): { kid: string; nonce: Buffer; sealed: Buffer } {
  if (envelope.length > envelopeCharsMax) throw cannotOpen();
  const [mark, kid, nonceText, sealedText, ...rest] = envelope.split('.');
  if (mark !== version || kid === undefined || !isKid(kid) || rest.length > 0) throw cannotOpen();
  const nonce = strictBytes(nonceText);
  const sealed = strictBytes(sealedText);
  if (nonce.length !== nonceBytes || sealed.length <= tagBytes) throw cannotOpen();
  return { kid, nonce, sealed };
}

/** Base64url with one spelling per value: Node skips over what it does not understand. */
function strictBytes(text: string | undefined): Buffer {
  const bytes = Buffer.from(text ?? '', 'base64url');
  if (bytes.toString('base64url') !== text) throw cannotOpen();
  return bytes;
}
