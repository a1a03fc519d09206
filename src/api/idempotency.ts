// Idempotency-Key on POST: a request that is repeated because its answer got lost is answered again, not done again.
// The answer is kept for a day, sealed under a key derived from the caller's API token (or session) and the Idempotency-Key. The
// database has neither, so an access token in an answer is never stored in the open, and only the same caller with
// the same key can have it again. What was refused is not kept: nothing happened, and a retry may do better.
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { type ErrorCode, Fault } from '../base/errors.ts';
import type { Db } from '../db/pool.ts';
import {
  claimIdempotencyKey,
  keepIdempotentAnswer,
  releaseIdempotencyKey,
} from '../db/queries/idempotency.ts';

const keepSeconds = 86_400;
/** Longer than any wait a request may prefer. */
const runSeconds = 300;

export interface IdempotentRequest {
  readonly db: Db;
  readonly tokenId: string;
  /** The API token itself, from the request's own header, or the secret of its session. */
  readonly secret: string;
  readonly key: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  /** Told when an answer could not be kept: repeating the request will then be refused. */
  readonly onUnkept: (error: unknown) => void;
}

/** An answer as it goes out. */
export interface PlainAnswer {
  readonly status: number;
  readonly payload: string;
  readonly location: string | null;
}

/**
 * Runs `once`, unless a request with this key was answered before: then that answer comes again.
 * Throws idempotency_key_reused for the key of a different request, idempotency_in_progress for one that has not ended
 * (with Retry-After) or was cut off and may have happened (without).
 */
export async function idempotently(
  request: IdempotentRequest,
  once: () => Promise<PlainAnswer>,
): Promise<PlainAnswer & { readonly replayed: boolean }> {
  if (!/^[\x21-\x7e]{1,255}$/.test(request.key)) {
    throw new Fault('malformed_request', 'Idempotency-Key must be 1 to 255 visible ASCII characters', {
      errors: [{ pointer: '/headers/idempotency-key', message: '1 to 255 visible ASCII characters' }],
    });
  }
  const { db, tokenId } = request;
  const keyHash = createHash('sha256').update(request.key).digest();
  const keys = derive(request);
  const requestMac = createHmac('sha256', keys.mac)
    .update(JSON.stringify([request.method, request.path, request.body ?? null]))
    .digest();
  const earlier = await claimIdempotencyKey(db, { tokenId, keyHash, requestMac, keepSeconds, runSeconds });
  if (earlier !== undefined) {
    if (!earlier.request_mac.equals(requestMac)) {
      throw new Fault('idempotency_key_reused', 'a different request was made with this Idempotency-Key');
    }
    if (earlier.sealed_answer !== null) return { ...open(keys.seal, earlier.sealed_answer), replayed: true };
    throw earlier.still_running
      ? new Fault('idempotency_in_progress', 'the first request with this Idempotency-Key is still running', {
          retryAfterS: 2,
        })
      : new Fault(
          'idempotency_in_progress',
          'the first request with this Idempotency-Key was cut off; it may have done its work',
        );
  }
  const answer = await once().catch(async (error: unknown) => {
    if (changedNothing(error)) await releaseIdempotencyKey(db, tokenId, keyHash);
    throw error;
  });
  // It is done: a database that goes away now must not turn it into a failure.
  await keepIdempotentAnswer(db, tokenId, keyHash, seal(keys.seal, answer)).catch(request.onUnkept);
  return { ...answer, replayed: false };
}

const unsure: ReadonlySet<ErrorCode> = new Set([
  'database_unavailable',
  'internal',
  'instance_unreachable',
  'instance_timeout',
]);

/** Only of a refusal is it known that nothing happened. After any other failure the key stays taken. */
function changedNothing(error: unknown): boolean {
  return error instanceof Fault && !unsure.has(error.code);
}

function derive(request: IdempotentRequest): { readonly seal: Buffer; readonly mac: Buffer } {
  const bytes = Buffer.from(hkdfSync('sha256', request.secret, request.key, 'minimcp idempotency v1', 64));
  return { seal: bytes.subarray(0, 32), mac: bytes.subarray(32) };
}

function seal(key: Buffer, answer: PlainAnswer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const text = cipher.update(JSON.stringify(answer), 'utf8');
  return Buffer.concat([nonce, text, cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, sealed: Buffer): PlainAnswer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 });
  decipher.setAuthTag(sealed.subarray(-16));
  const text = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
  return JSON.parse(text.toString('utf8')) as PlainAnswer;
}
