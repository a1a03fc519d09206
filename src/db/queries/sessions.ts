// Statements on sessions and login_codes. Secrets are found by their SHA-256 only; whether a session, the API token behind
// it and their user still count is decided here, on the database's clock, in the statement that finds it.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';
import { presentedColumns, presentedSchema } from './api-tokens.ts';

export interface NewLoginCode {
  readonly codeHash: Buffer;
  readonly tokenId: string;
  /** Of its session, when a session makes it. */
  readonly sessionEndsAt: Date | null;
  readonly lifeSeconds: number;
  /** Codes of one token that wait at the same time; of more, the oldest go. */
  readonly waitingMax: number;
}

const spanSchema = z.object({ expires_at: z.date(), server_time: z.date() });

/** Writes a login code. @returns until when it counts */
export async function insertLoginCode(q: Queryable, code: NewLoginCode): Promise<z.infer<typeof spanSchema>> {
  await q.query(
    `DELETE FROM login_codes WHERE code_hash IN (
       SELECT code_hash FROM login_codes WHERE token_id = $1 ORDER BY created_at DESC OFFSET $2)`,
    [code.tokenId, code.waitingMax - 1],
  );
  const rows = await q.query(
    `INSERT INTO login_codes (code_hash, token_id, expires_at, session_ends_at, created_at)
     VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second', $4, clock_timestamp())
     RETURNING expires_at, clock_timestamp() AS server_time`,
    [code.codeHash, code.tokenId, code.lifeSeconds, code.sessionEndsAt],
  );
  return spanSchema.parse(rows[0]);
}

const spentSchema = presentedSchema.extend({ session_ends_at: z.date().nullable() });

/** Spends a login code: of several who try, one is given the token behind it. */
export async function spendLoginCode(
  q: Queryable,
  codeHash: Buffer,
  address: string | null,
): Promise<z.infer<typeof spentSchema> | undefined> {
  const rows = await q.query(
    `WITH spent AS (
       DELETE FROM login_codes WHERE code_hash = $1 AND expires_at > clock_timestamp()
         AND coalesce(session_ends_at > clock_timestamp(), true) RETURNING token_id, session_ends_at
     )
     SELECT ${presentedColumns}, spent.session_ends_at
     FROM spent JOIN api_tokens t ON t.id = spent.token_id JOIN users u ON u.id = t.user_id`,
    [codeHash, address],
  );
  return rows[0] === undefined ? undefined : spentSchema.parse(rows[0]);
}

export interface NewSession {
  readonly id: string;
  readonly userId: string;
  readonly tokenId: string;
  readonly secretHash: Buffer;
  readonly lifeSeconds: number;
  /** It ends no later than this. */
  readonly endsAt: Date | null;
  /** Sessions of one user at the same time; of more, those used longest ago go. */
  readonly perUserMax: number;
}

/** Writes a session; none for a user or token that went meanwhile, and undefined comes back. */
export async function insertSession(
  q: Queryable,
  session: NewSession,
): Promise<z.infer<typeof spanSchema> | undefined> {
  // Those who log in as one user at once, disable them or revoke the token, come one after the other.
  const held = await q.query(
    `SELECT 1 FROM users u JOIN api_tokens t ON t.user_id = u.id
     WHERE u.id = $1 AND t.id = $2 AND u.disabled_at IS NULL AND t.revoked_at IS NULL FOR NO KEY UPDATE`,
    [session.userId, session.tokenId],
  );
  if (held.length === 0) return undefined;
  await q.query(
    `DELETE FROM sessions WHERE id IN (
       SELECT id FROM sessions WHERE user_id = $1 ORDER BY last_used_at DESC OFFSET $2)`,
    [session.userId, session.perUserMax - 1],
  );
  const rows = await q.query(
    `INSERT INTO sessions (id, user_id, token_id, secret_hash, created_at, last_used_at, expires_at)
     VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp(), LEAST(clock_timestamp() + $5 * interval '1 second', $6))
     RETURNING expires_at, clock_timestamp() AS server_time`,
    [session.id, session.userId, session.tokenId, session.secretHash, session.lifeSeconds, session.endsAt],
  );
  return spanSchema.parse(rows[0]);
}

const presentedSessionSchema = presentedSchema.extend({
  session_id: z.string(),
  session_expires_at: z.date(),
  server_time: z.date(),
});

/**
 * Finds a session that counts, by its secret's hash, with the token behind it.
 * @param isUse whether it keeps the session from ending for idleness; noted at most once a minute
 */
export async function presentSession(
  q: Queryable,
  shown: { readonly secretHash: Buffer; readonly address: string | null },
  { isUse, idleSeconds }: { readonly isUse: boolean; readonly idleSeconds: number },
): Promise<z.infer<typeof presentedSessionSchema> | undefined> {
  const rows = await q.query(
    `WITH found AS (
       SELECT ${presentedColumns}, s.id AS session_id, s.expires_at AS session_expires_at, s.last_used_at,
         t.last_used_at AS token_used_at, clock_timestamp() AS server_time
       FROM sessions s JOIN api_tokens t ON t.id = s.token_id JOIN users u ON u.id = t.user_id
       WHERE s.secret_hash = $1 AND s.expires_at > clock_timestamp()
         AND s.last_used_at > clock_timestamp() - $4 * interval '1 second'
     ), used AS (
       UPDATE sessions SET last_used_at = clock_timestamp() FROM found
       WHERE $3 AND sessions.id = found.session_id AND found.refused IS NULL
         AND found.last_used_at < clock_timestamp() - interval '1 minute'
     ), token_used AS (
       UPDATE api_tokens SET last_used_at = clock_timestamp() FROM found
       WHERE $3 AND api_tokens.id = found.token_id AND found.refused IS NULL
         AND (found.token_used_at IS NULL OR found.token_used_at < clock_timestamp() - interval '1 minute')
     )
     SELECT * FROM found`,
    [shown.secretHash, shown.address, isUse, idleSeconds],
  );
  return rows[0] === undefined ? undefined : presentedSessionSchema.parse(rows[0]);
}

export async function deleteSession(q: Queryable, id: string): Promise<boolean> {
  return (await q.query('DELETE FROM sessions WHERE id = $1 RETURNING 1', [id])).length > 0;
}

/** Ends every session and login code of a user. */
export async function deleteLoginsOfUser(q: Queryable, userId: string): Promise<void> {
  await q.query('DELETE FROM sessions WHERE user_id = $1', [userId]);
  await q.query('DELETE FROM login_codes WHERE token_id IN (SELECT id FROM api_tokens WHERE user_id = $1)', [
    userId,
  ]);
}

/** Ends every session and login code of an API token. */
export async function deleteLoginsOfToken(q: Queryable, tokenId: string): Promise<void> {
  await q.query('DELETE FROM sessions WHERE token_id = $1', [tokenId]);
  await q.query('DELETE FROM login_codes WHERE token_id = $1', [tokenId]);
}

/** Deletes sessions and login codes that do not count any more. */
export async function deleteOldLogins(q: Queryable, idleSeconds: number): Promise<void> {
  await q.query(
    `DELETE FROM sessions WHERE expires_at <= clock_timestamp()
       OR last_used_at <= clock_timestamp() - $1 * interval '1 second'`,
    [idleSeconds],
  );
  await q.query('DELETE FROM login_codes WHERE expires_at <= clock_timestamp()');
}
