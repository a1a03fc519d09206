// Who a header speaks for. It refuses access tokens, whatever else they are, and says what is wrong with a token only to
// whoever has it.
import { Fault } from '../base/errors.ts';
import { hashToken } from '../base/tokens.ts';
import type { Db } from '../db/pool.ts';
import { type PresentedToken, presentToken } from '../db/queries/api-tokens.ts';
import { scopes as allScopes, type Scope } from '../domain/scopes.ts';
import type { Refusal } from './refusals.ts';

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
  /** The session whose cookie was shown in place of the token. */
  readonly session: { readonly id: string; readonly expiresAt: Date; readonly seenAt: Date } | null;
}

/** Where a caller is: plain address and user agent, for the network check and the event. */
export interface Address {
  readonly address: string | null;
  readonly userAgent: string | null;
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

/** Finds who a header speaks for. */
export async function authenticate(
  presenter: Presenter,
  header: string | undefined,
  from: Address,
): Promise<Caller> {
  const { db, refuse } = presenter;
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
  return callerOf(presenter, found, from);
}

/** The caller that a token which was found stands for. @throws Fault unauthorized, forbidden when it is refused */
export function callerOf({ refuse }: Presenter, found: PresentedToken, from: Address): Caller {
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
    session: null,
  };
}

function refusalFault(reason: 'revoked' | 'expired' | 'disabled' | 'network'): Fault {
  // Whoever gets these holds a real token, so they may know what is wrong with it.
  if (reason === 'network') return new Fault('forbidden', 'this API token may not be used from your address');
  if (reason === 'disabled') return new Fault('unauthorized', 'the user of this API token is disabled');
  return new Fault('unauthorized', `the API token is ${reason}`);
}
