// Statements on crypto_keys: which master keys there are, how to tell them, which one seals. The keys themselves are
// never here.
import { Fault } from '../../base/errors.ts';
import type { Queryable } from '../pool.ts';

export interface CryptoKeyRow {
  readonly key_id: string;
  readonly check_value: string;
  readonly state: 'active' | 'decrypt' | 'retired';
}

export function listCryptoKeys(q: Queryable): Promise<CryptoKeyRow[]> {
  return q.query<CryptoKeyRow>(
    'SELECT key_id, check_value, state FROM crypto_keys ORDER BY created_at, key_id',
  );
}

/** Makes a master key known; an active one takes over from the one before. Repeating it changes nothing. */
export async function registerCryptoKey(
  q: Queryable,
  keyId: string,
  checkValue: string,
  state: 'active' | 'decrypt' = 'active',
): Promise<void> {
  // Two processes that register at once must not both be the first.
  await q.query(`SELECT pg_advisory_xact_lock(hashtextextended('minimcp_crypto_keys', 0))`);
  const known = await q.query('SELECT 1 FROM crypto_keys WHERE key_id = $1', [keyId]);
  if (known.length > 0) return;
  if (state === 'active') await q.query(`UPDATE crypto_keys SET state = 'decrypt' WHERE state = 'active'`);
  await q.query('INSERT INTO crypto_keys (key_id, check_value, state) VALUES ($1, $2, $3)', [
    keyId,
    checkValue,
    state,
  ]);
}

/** Retires a key nothing is sealed under. @throws Fault illegal_in_status or not_found */
export async function retireCryptoKey(q: Queryable, keyId: string): Promise<void> {
  await q.query(`SELECT pg_advisory_xact_lock(hashtextextended('minimcp_crypto_keys', 0))`);
  // FOR UPDATE waits for whoever is storing a secret under it: their foreign key holds the row.
  const rows = await q.query<{ state: string }>(
    'SELECT state FROM crypto_keys WHERE key_id = $1 FOR UPDATE',
    [keyId],
  );
  if (rows[0] === undefined) throw new Fault('not_found', `there is no master key ${keyId}`);
  if (rows[0].state === 'active') {
    throw new Fault('illegal_in_status', `${keyId} is the active key; add another one first`);
  }
  const used = await q.query('SELECT 1 FROM api_keys WHERE key_id = $1 LIMIT 1', [keyId]);
  if (used.length > 0) {
    throw new Fault('illegal_in_status', `secrets are sealed under ${keyId}; rotate first`);
  }
  await q.query(
    `UPDATE crypto_keys SET state = 'retired', retired_at = clock_timestamp() WHERE key_id = $1`,
    [keyId],
  );
}
