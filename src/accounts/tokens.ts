// API tokens: who a header speaks for, and new tokens that can never do more than the one that makes them. It refuses
// access tokens, whatever else they are. Tokens are shown once; only their SHA-256 is kept.
import { randomUUIDv7 } from 'node:crypto';
import { scopes as allScopes, type Scope } from '../api/contract.ts';
import { Fault, fieldFault } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import type { Db } from '../db/pool.ts';
import { type ApiTokenRow, countTokens, insertToken, presentToken } from '../db/queries/api-tokens.ts';
import { insertEvent } from '../db/queries/events.ts';
import { readUser } from '../db/queries/users.ts';
import type { Actor } from '../instances/types.ts';
import { liesWithin } from './networks.ts';
import type { Refusal } from './refusals.ts';

/** Tokens of one user that count at the same time. */
const tokensMax = 100;

/** Who asks, and what the token they showed allows. */
export interface Caller {
  readonly userId: string;
  readonly email: string;
  readonly name: string;
  /** What the person is. */
  readonly role: 'user' | 'admin';
  readonly tokenId: string;
  readonly scopes: readonly Scope[];
  /** True for an admin whose token has the scope admin: sees everyone's things. */
  readonly actsAsAdmin: boolean;
  readonly rateLimitPerMinute: number | null;
  readonly allowedCidrs: readonly string[] | null;
  readonly expiresAt: Date | null;
}

/** Whether the token allows what needs `scope`. The scope admin, of an admin, allows everything. */
export function allows(caller: Caller, scope: Scope): boolean {
  return caller.actsAsAdmin || (scope !== 'admin' && caller.scopes.includes(scope));
}

/** Reads a header of the form "Bearer TOKEN"; undefined when there is none that could be an API token. */
export function bearerOf(header: string | undefined): string | undefined {
  const token = /^Bearer ([\x21-\x7e]{16,512})$/i.exec(header ?? '')?.[1];
  return token === undefined || token.startsWith('mcp_') ? undefined : token;
}

export interface Presenter {
  readonly db: Db;
  readonly refuse: (refusal: Refusal) => void;
}

/**
 * Finds who a header speaks for.
 * @param from where the caller is: plain address and user agent, for the network check and the event
 */
export async function authenticate(
  { db, refuse }: Presenter,
  header: string | undefined,
  from: { readonly address: string | null; readonly userAgent: string | null },
): Promise<Caller> {
  const token = bearerOf(header);
  if (token === undefined) {
    if (header !== undefined) refuse({ ...from, reason: 'not an API token', userId: null });
    throw new Fault(
      'unauthorized',
      header === undefined ? 'no Authorization header' : 'the Authorization header holds no API token',
    );
  }
  const found = await presentToken(db, hashToken(token), from.address);
  if (found === undefined) {
    refuse({ ...from, reason: 'unknown', userId: null });
    throw new Fault('unauthorized', 'the API token is not known here');
  }
  if (found.refused !== null) {
    refuse({ ...from, reason: found.refused, userId: found.user_id });
    throw refusalFault(found.refused);
  }
  const scopes = found.scopes.filter((scope): scope is Scope => allScopes.includes(scope as Scope));
  return {
    userId: found.user_id,
    email: found.email,
    name: found.name,
    role: found.role,
    tokenId: found.token_id,
    scopes,
    actsAsAdmin: found.role === 'admin' && scopes.includes('admin'),
    rateLimitPerMinute: found.rate_limit_per_minute,
    allowedCidrs: found.allowed_cidrs,
    expiresAt: found.expires_at,
  };
}

function refusalFault(reason: 'revoked' | 'expired' | 'disabled' | 'network'): Fault {
  // Whoever gets these holds a real token, so they may know what is wrong with it.
  if (reason === 'network') return new Fault('forbidden', 'this API token may not be used from your address');
  if (reason === 'disabled') return new Fault('unauthorized', 'the user of this API token is disabled');
  return new Fault('unauthorized', `the API token is ${reason}`);
}

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
