// Statements on api_keys. What is in encrypted_key was sealed before it came here and is opened elsewhere.
import { randomUUIDv7 } from 'node:crypto';
import type { Queryable } from '../pool.ts';

/** What may be told about a stored key. */
export interface ApiKeyEntry {
  readonly mcp_type: string;
  readonly key_hint: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly expires_at: Date | null;
}

export interface NewApiKey {
  readonly userId: string;
  readonly typeId: string;
  readonly envelope: string;
  readonly nonce: string;
  /** The master key it is sealed under. */
  readonly keyId: string;
  readonly hint: string | null;
  readonly expiresAt: Date | null;
  /** The envelope that holds the same key already: while it still does, the key is not another one for being stored. */
  readonly sameAs: string | null;
}

/**
 * Stores a key, in place of the one the person had for this type.
 * @returns undefined when its master key has been retired meanwhile: nothing may be sealed under it any more
 */
export async function upsertApiKey(
  q: Queryable,
  key: NewApiKey,
): Promise<Omit<ApiKeyEntry, 'mcp_type'> | undefined> {
  const rows = await q.query<Omit<ApiKeyEntry, 'mcp_type'>>(
    `INSERT INTO api_keys (id, user_id, mcp_type_id, encrypted_key, encryption_iv, key_id, key_hint, expires_at)
     SELECT $1::uuid, $2::uuid, $3::uuid, $4, $5, key_id, $7, $8::timestamptz
     FROM crypto_keys WHERE key_id = $6 AND state <> 'retired' FOR SHARE
     ON CONFLICT (user_id, mcp_type_id) DO UPDATE SET encrypted_key = excluded.encrypted_key,
       encryption_iv = excluded.encryption_iv, key_id = excluded.key_id, key_hint = excluded.key_hint,
       expires_at = excluded.expires_at, is_active = true,
       updated_at = CASE WHEN api_keys.encrypted_key = $9 THEN api_keys.updated_at ELSE clock_timestamp() END
     RETURNING key_hint, created_at, updated_at, expires_at`,
    [
      randomUUIDv7(),
      key.userId,
      key.typeId,
      key.envelope,
      key.nonce,
      key.keyId,
      key.hint,
      key.expiresAt,
      key.sameAs,
    ],
  );
  return rows[0];
}

/** The sealed key of a person for a type, if there is one that has not expired. Each replacement is another version. */
export async function readApiKey(
  q: Queryable,
  userId: string,
  typeId: string,
): Promise<{ id: string; version: string; encrypted_key: string } | undefined> {
  const rows = await q.query<{ id: string; version: string; encrypted_key: string }>(
    `SELECT id, id || '@' || extract(epoch FROM updated_at) AS version, encrypted_key FROM api_keys
     WHERE user_id = $1 AND mcp_type_id = $2 AND is_active AND (expires_at IS NULL OR expires_at > clock_timestamp())`,
    [userId, typeId],
  );
  return rows[0];
}

export function listApiKeys(q: Queryable, userId: string): Promise<ApiKeyEntry[]> {
  return q.query<ApiKeyEntry>(
    `SELECT t.name AS mcp_type, k.key_hint, k.created_at, k.updated_at, k.expires_at
     FROM api_keys k JOIN mcp_types t ON t.id = k.mcp_type_id WHERE k.user_id = $1 AND k.is_active ORDER BY t.name`,
    [userId],
  );
}

export async function deleteApiKey(q: Queryable, userId: string, typeId: string): Promise<boolean> {
  const rows = await q.query('DELETE FROM api_keys WHERE user_id = $1 AND mcp_type_id = $2 RETURNING 1', [
    userId,
    typeId,
  ]);
  return rows.length > 0;
}

export interface SealedRow {
  readonly id: string;
  readonly user_id: string;
  readonly mcp_type_id: string;
  readonly encrypted_key: string;
}

/** Keys sealed under another master key, a page at a time by id. */
export function listApiKeysNotUnder(
  q: Queryable,
  keyId: string,
  after: string | null,
  limit: number,
): Promise<SealedRow[]> {
  return q.query<SealedRow>(
    `SELECT id, user_id, mcp_type_id, encrypted_key FROM api_keys
     WHERE key_id <> $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3`,
    [keyId, after, limit],
  );
}

export interface EnvelopeChange {
  readonly id: string;
  readonly old: string;
  readonly envelope: string;
  readonly nonce: string;
}

/** Replaces envelopes that are still what they were when read. @returns how many were */
export async function replaceEnvelopes(
  q: Queryable,
  keyId: string,
  changes: readonly EnvelopeChange[],
): Promise<number> {
  if (changes.length === 0) return 0;
  const rows = await q.query(
    `UPDATE api_keys SET encrypted_key = c.envelope, encryption_iv = c.nonce, key_id = $1
     FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS c(id, old, envelope, nonce),
       (SELECT FROM crypto_keys WHERE key_id = $1 AND state <> 'retired' FOR SHARE) AS k
     WHERE api_keys.id = c.id AND api_keys.encrypted_key = c.old RETURNING 1`,
    [
      keyId,
      changes.map((change) => change.id),
      changes.map((change) => change.old),
      changes.map((change) => change.envelope),
      changes.map((change) => change.nonce),
    ],
  );
  return rows.length;
}

/** How many secrets are sealed under each master key. */
export async function countApiKeysByKey(q: Queryable): Promise<Map<string, number>> {
  const rows = await q.query<{ key_id: string; count: number }>(
    'SELECT key_id, count(*) AS count FROM api_keys GROUP BY key_id',
  );
  return new Map(rows.map((row) => [row.key_id, row.count]));
}

/** A person's running instances of a type, oldest first. */
export async function listRunningOfType(q: Queryable, userId: string, typeId: string): Promise<string[]> {
  const rows = await q.query<{ id: string }>(
    `SELECT id FROM mcp_instances WHERE user_id = $1 AND mcp_type_id = $2 AND status = 'running' AND deleted_at IS NULL
     ORDER BY created_at, id`,
    [userId, typeId],
  );
  return rows.map((row) => row.id);
}
