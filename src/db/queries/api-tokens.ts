// Statements on api_tokens. A token is found by its SHA-256 only; whether it still counts (expiry, revocation, network)
// is decided here, on the database's clock, in the statement that finds it.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const rowSchema = z.object({
  id: z.string(),
  user_id: z.string(),
  name: z.string(),
  prefix: z.string(),
  scopes: z.array(z.string()),
  allowed_cidrs: z.array(z.string()).nullable(),
  rate_limit_per_minute: z.number().nullable(),
  expires_at: z.date().nullable(),
  last_used_at: z.date().nullable(),
  created_at: z.date(),
});
export type ApiTokenRow = z.infer<typeof rowSchema>;

// cidr[] has no parser in the driver: as text[] it has.
const columns = `id, user_id, name, prefix, scopes, allowed_cidrs::text[] AS allowed_cidrs, rate_limit_per_minute,
  expires_at, last_used_at, created_at`;

export const presentedSchema = z.object({
  token_id: z.string(),
  user_id: z.string(),
  email: z.string(),
  name: z.string(),
  role: z.enum(['user', 'admin']),
  scopes: z.array(z.string()),
  allowed_cidrs: z.array(z.string()).nullable(),
  rate_limit_per_minute: z.number().nullable(),
  expires_at: z.date().nullable(),
  refused: z.enum(['revoked', 'expired', 'disabled', 'network']).nullable(),
});
/** A token that exists, whose it is, and why it is refused, if it is. */
export type PresentedToken = z.infer<typeof presentedSchema>;

/** What is read of a token `t` of a user `u` that is presented from the address in parameter 2, and why it is refused. */
export const presentedColumns = `t.id AS token_id, t.user_id, u.email, u.name, u.role, t.scopes,
  t.allowed_cidrs::text[] AS allowed_cidrs, t.rate_limit_per_minute, t.expires_at,
  CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'
    WHEN t.expires_at <= clock_timestamp() THEN 'expired'
    WHEN u.disabled_at IS NOT NULL OR u.deleted_at IS NOT NULL THEN 'disabled'
    WHEN t.allowed_cidrs IS NOT NULL AND NOT coalesce($2::inet <<= ANY(t.allowed_cidrs), false) THEN 'network'
  END AS refused`;

/**
 * Finds a token by its hash, and notes its use at most once a minute.
 * @param address where the caller is, or null when it is not known
 */
export async function presentToken(
  q: Queryable,
  tokenHash: Buffer,
  address: string | null,
): Promise<PresentedToken | undefined> {
  const rows = await q.query(
    `WITH found AS (
       SELECT ${presentedColumns}, t.last_used_at FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = $1
     ), used AS (
       UPDATE api_tokens SET last_used_at = clock_timestamp() FROM found
       WHERE api_tokens.id = found.token_id AND found.refused IS NULL
         AND (found.last_used_at IS NULL OR found.last_used_at < clock_timestamp() - interval '1 minute')
     )
     SELECT * FROM found`,
    [tokenHash, address],
  );
  return rows[0] === undefined ? undefined : presentedSchema.parse(rows[0]);
}

const insertedSchema = rowSchema.extend({ already_over: z.boolean() });

export interface NewApiToken {
  readonly id: string;
  readonly userId: string;
  readonly name: string;
  readonly tokenHash: Buffer;
  readonly prefix: string;
  readonly scopes: readonly string[];
  /** An address with a prefix length stands for the network it lies in. */
  readonly allowedCidrs: readonly string[] | null;
  readonly rateLimitPerMinute: number | null;
  readonly expiresAt: Date | null;
}

/** Writes a token; one that is there already stays as it is, and undefined comes back. */
export async function insertToken(
  q: Queryable,
  token: NewApiToken,
): Promise<(ApiTokenRow & { readonly already_over: boolean }) | undefined> {
  const rows = await q.query(
    `INSERT INTO api_tokens (id, user_id, name, token_hash, prefix, scopes, allowed_cidrs, rate_limit_per_minute, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, (SELECT array_agg(network(net::inet)) FROM unnest($7::text[]) AS net), $8, $9)
     ON CONFLICT (token_hash) DO NOTHING
     RETURNING ${columns}, coalesce(expires_at <= clock_timestamp(), false) AS already_over`,
    [
      token.id,
      token.userId,
      token.name,
      token.tokenHash,
      token.prefix,
      token.scopes,
      token.allowedCidrs,
      token.rateLimitPerMinute,
      token.expiresAt,
    ],
  );
  return rows[0] === undefined ? undefined : insertedSchema.parse(rows[0]);
}

/** Tokens of a user that are not revoked, in the order of their ids. */
export async function listTokens(
  q: Queryable,
  page: { readonly userId: string; readonly afterId: string | null; readonly limit: number },
): Promise<ApiTokenRow[]> {
  const rows = await q.query(
    `SELECT ${columns} FROM api_tokens
     WHERE user_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3`,
    [page.userId, page.afterId, page.limit],
  );
  return rows.map((row) => rowSchema.parse(row));
}

/** How many tokens of a user still count. */
export async function countTokens(q: Queryable, userId: string): Promise<number> {
  const rows = await q.query<{ count: number }>(
    `SELECT count(*) AS count FROM api_tokens
     WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())`,
    [userId],
  );
  return rows[0]?.count ?? 0;
}

/** Revokes a token, of `userId` only unless that is null. @returns whose it was, or undefined when there is none */
export async function revokeToken(
  q: Queryable,
  id: string,
  userId: string | null,
): Promise<{ user_id: string; name: string; prefix: string } | undefined> {
  const rows = await q.query<{ user_id: string; name: string; prefix: string }>(
    `UPDATE api_tokens SET revoked_at = clock_timestamp()
     WHERE id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR user_id = $2) RETURNING user_id, name, prefix`,
    [id, userId],
  );
  return rows[0];
}
