// Statements on idempotency_keys: the first request with a key claims it, and what it answered is kept, sealed so that
// only the same caller with the same key can open it. Rows older than their term count as absent.
import type { Queryable } from '../pool.ts';

export interface IdempotencyClaim {
  readonly tokenId: string;
  readonly keyHash: Buffer;
  readonly requestMac: Buffer;
  readonly keepSeconds: number;
  /** Longest the first request may take before its outcome is called unknown. */
  readonly runSeconds: number;
}

export interface EarlierRequest {
  readonly request_mac: Buffer;
  /** Null while the first request has not ended, or when it never did. */
  readonly sealed_answer: Buffer | null;
  readonly still_running: boolean;
}

/** Claims a key. @returns undefined when it is the caller's now, else the request that has it */
export async function claimIdempotencyKey(
  q: Queryable,
  claim: IdempotencyClaim,
): Promise<EarlierRequest | undefined> {
  // A few rows past their term go with every claim, so that the table needs no job of its own.
  await q.query(
    `DELETE FROM idempotency_keys WHERE (token_id, key_hash) IN (
       SELECT token_id, key_hash FROM idempotency_keys WHERE expires_at <= clock_timestamp()
       LIMIT 20 FOR UPDATE SKIP LOCKED)`,
  );
  // A row that vanishes between the two statements belonged to a request that was refused: try again, a few times.
  for (let tries = 0; tries < 5; tries += 1) {
    const claimed = await q.query(
      `INSERT INTO idempotency_keys (token_id, key_hash, request_mac, runs_until, expires_at)
       VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second', clock_timestamp() + $5 * interval '1 second')
       ON CONFLICT (token_id, key_hash) DO UPDATE SET request_mac = excluded.request_mac, sealed_answer = NULL,
         runs_until = excluded.runs_until, expires_at = excluded.expires_at, created_at = clock_timestamp()
       WHERE idempotency_keys.expires_at <= clock_timestamp()
       RETURNING 1`,
      [claim.tokenId, claim.keyHash, claim.requestMac, claim.runSeconds, claim.keepSeconds],
    );
    if (claimed.length === 1) return undefined;
    const rows = await q.query<EarlierRequest>(
      `SELECT request_mac, sealed_answer, runs_until > clock_timestamp() AS still_running
       FROM idempotency_keys WHERE token_id = $1 AND key_hash = $2`,
      [claim.tokenId, claim.keyHash],
    );
    if (rows[0] !== undefined) return rows[0];
  }
  return { request_mac: claim.requestMac, sealed_answer: null, still_running: true };
}

/** Keeps the sealed answer of the request that claimed the key. */
export async function keepIdempotentAnswer(
  q: Queryable,
  tokenId: string,
  keyHash: Buffer,
  sealedAnswer: Buffer,
): Promise<void> {
  await q.query('UPDATE idempotency_keys SET sealed_answer = $3 WHERE token_id = $1 AND key_hash = $2', [
    tokenId,
    keyHash,
    sealedAnswer,
  ]);
}

/** Lets go of a key whose request was refused: nothing happened, so it may be tried again. */
export async function releaseIdempotencyKey(q: Queryable, tokenId: string, keyHash: Buffer): Promise<void> {
  await q.query(
    'DELETE FROM idempotency_keys WHERE token_id = $1 AND key_hash = $2 AND sealed_answer IS NULL',
    [tokenId, keyHash],
  );
}
