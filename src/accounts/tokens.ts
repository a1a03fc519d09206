// New API tokens, which can never do more than the one that makes them: a leaked token cannot make itself a better one.
// Tokens are shown once; only their SHA-256 is kept.
import { randomUUIDv7 } from 'node:crypto';
import { Fault, fieldFault } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import type { Db } from '../db/pool.ts';
import { type ApiTokenRow, countTokens, insertToken } from '../db/queries/api-tokens.ts';
import { insertEvent } from '../db/queries/events.ts';
import { readUser } from '../db/queries/users.ts';
import { scopes as allScopes, type Scope } from '../domain/scopes.ts';
import type { Actor } from '../instances/types.ts';
import { allows, type Caller } from './authenticate.ts';
import { liesWithin } from './networks.ts';

/** Tokens of one user that count at the same time. */
const tokensMax = 100;

export interface TokenWish {
  readonly name: string;
  readonly scopes?: readonly Scope[] | undefined;
  readonly expires_at?: string | null | undefined;
  readonly allowed_cidrs?: readonly string[] | null | undefined;
  readonly rate_limit_per_minute?: number | null | undefined;
  readonly user_id?: string | undefined;
}

export interface NewTokenAnswer {
  readonly token: ApiTokenRow;
  /** Shown once. */
  readonly apiToken: string;
}

/**
 * Makes an API token for the caller, or, for an admin, for anyone. Scopes, end, networks and rate never go beyond
 * those of the token that asks, so that a leaked token cannot make itself a better one.
 */
export async function createToken(
  db: Db,
  caller: Caller,
  actor: Actor,
  wish: TokenWish,
): Promise<NewTokenAnswer> {
  const ownerId = wish.user_id ?? caller.userId;
  if (ownerId !== caller.userId && !caller.actsAsAdmin) {
    throw new Fault('forbidden', 'only an admin, with the scope admin, makes tokens for others');
  }
  const apiToken = newToken('mmt_');
  const token = await db.tx(async (tx) => {
    const owner = await readUser(tx, ownerId);
    if (owner === undefined) throw fieldFault('invalid_field', '/user_id', `there is no user ${ownerId}`);
    if ((await countTokens(tx, ownerId)) >= tokensMax) {
      throw fieldFault('invalid_field', '/user_id', `${tokensMax} tokens are in use; revoke one first`);
    }
    const row = await insertToken(tx, {
      id: randomUUIDv7(),
      userId: ownerId,
      name: wish.name,
      tokenHash: hashToken(apiToken),
      prefix: apiToken.slice(0, 12),
      scopes: grantedScopes(caller, owner.role, wish.scopes),
      allowedCidrs: grantedNetworks(caller, wish.allowed_cidrs ?? null),
      rateLimitPerMinute: lesser(caller.rateLimitPerMinute, wish.rate_limit_per_minute ?? null),
      expiresAt: grantedEnd(caller, wish.expires_at ?? null),
    });
    if (row === undefined) throw new Error('two random tokens were the same');
    if (row.already_over) throw fieldFault('invalid_field', '/expires_at', 'expires_at must lie ahead');
    await insertEvent(tx, {
      instanceId: null,
      userId: ownerId,
      actorId: actor.userId,
      type: 'token_created',
      data: { token_id: row.id, name: row.name, prefix: row.prefix, scopes: row.scopes },
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
    return row;
  });
  return { token, apiToken };
}

function grantedScopes(
  caller: Caller,
  ownerRole: 'user' | 'admin',
  wanted: readonly Scope[] | undefined,
): Scope[] {
  const grantable = allScopes.filter(
    (scope) => allows(caller, scope) && (ownerRole === 'admin' || !adminScopes.includes(scope)),
  );
  // Nobody gets the whole house by not asking.
  if (wanted === undefined) return grantable.filter((scope) => !adminScopes.includes(scope));
  const refused = wanted.filter((scope) => !grantable.includes(scope));
  if (refused.length === 0) return [...new Set(wanted)];
  throw fieldFault(
    'invalid_field',
    '/scopes',
    `${refused.join(', ')}: beyond what the token that asks, or the role of the owner, allows`,
  );
}

/** Scopes that only tokens of admins may have. */
const adminScopes: readonly Scope[] = ['admin', 'metrics:read'];

function grantedEnd(caller: Caller, wanted: string | null): Date | null {
  const end = wanted === null ? caller.expiresAt : new Date(wanted);
  if (end !== null && caller.expiresAt !== null && end > caller.expiresAt) {
    throw fieldFault('invalid_field', '/expires_at', 'a token may not outlive the one that makes it');
  }
  return end;
}

function grantedNetworks(caller: Caller, wanted: readonly string[] | null): readonly string[] | null {
  const own = caller.allowedCidrs;
  if (own === null || wanted === null) return wanted ?? own;
  const outside = wanted.find((cidr) => !liesWithin(cidr, own));
  if (outside === undefined) return wanted;
  throw fieldFault(
    'invalid_field',
    '/allowed_cidrs',
    `${outside} lies outside the networks of the token that asks`,
  );
}

function lesser(first: number | null, second: number | null): number | null {
  if (first === null || second === null) return first ?? second;
  return Math.min(first, second);
}
