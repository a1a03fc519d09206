// Bearer tokens: how they are made and how they are kept. A token is shown once; what is stored is its SHA-256, which
// is enough because 32 random bytes cannot be guessed back.
import { createHash, randomBytes } from 'node:crypto';

/**
 * Access tokens reach one instance, API tokens the control API; a session's secret stands in a cookie, a login code opens
 * one session, and with a visitor's token the supervisor itself reaches an instance for a moment. The prefix keeps one
 * from passing for the other.
 */
export type TokenPrefix = 'mcp_' | 'mmt_' | 'mms_' | 'mml_' | 'mmv_';

/** A fresh token: the prefix and 32 random bytes in base64url. */
export function newToken(prefix: TokenPrefix): string {
  return prefix + randomBytes(32).toString('base64url');
}

/** SHA-256 of a token. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
