// Logging in to the dashboard: with an API token, or with a one-time code that somebody who has one asked for. A session
// may do what that token may, for half a day at most, and ends with it. Secrets are shown once and kept as hashes.
import { randomUUIDv7 } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { hashToken, newToken } from '../base/tokens.ts';
import type { Db, Tx } from '../db/pool.ts';
import type { PresentedToken } from '../db/queries/api-tokens.ts';
import { insertEvent } from '../db/queries/events.ts';
import {
  deleteSession,
  insertLoginCode,
  insertSession,
  presentSession,
  spendLoginCode,
} from '../db/queries/sessions.ts';
import { type Address, authenticate, type Caller, callerOf, type Presenter } from './authenticate.ts';

const codeSeconds = 600;
const codesWaitingMax = 20;
const sessionSeconds = 12 * 3_600;
/** Without a request for this long a session is over. */
export const idleSeconds = 2 * 3_600;
const perUserMax = 20;

export interface LoginCode {
  /** Shown once. */
  readonly code: string;
  readonly expiresAt: Date;
  readonly serverTime: Date;
}

/** What is shown to log in: one of the two. */
export type LoginProof = { readonly loginCode: string } | { readonly apiToken: string };

export interface OpenedSession {
  /** For the cookie; shown once. */
  readonly secret: string;
  readonly caller: Caller;
}

/** Makes a code that opens one session with the rights of the caller's token. */
export async function createLoginCode(db: Db, caller: Caller, from: Address): Promise<LoginCode> {
  const code = newToken('mml_');
  const made = await db.tx(async (tx) => {
    const row = await insertLoginCode(tx, {
      codeHash: hashToken(code),
      tokenId: caller.tokenId,
      sessionEndsAt: caller.session?.expiresAt ?? null,
      lifeSeconds: codeSeconds,
      waitingMax: codesWaitingMax,
    });
    await note(tx, { type: 'login_link_created', caller, from });
    return row;
  });
  return { code, expiresAt: made.expires_at, serverTime: made.server_time };
}

/** Opens a session. @throws Fault unauthorized, forbidden */
export async function openSession(
  presenter: Presenter,
  proof: LoginProof,
  from: Address,
): Promise<OpenedSession> {
  if ('apiToken' in proof) {
    const caller = await authenticate(presenter, `Bearer ${proof.apiToken}`, from);
    return presenter.db.tx((tx) => begin(tx, { caller, endsAt: null, via: 'api_token', from }));
  }
  return presenter.db.tx(async (tx) => {
    const spent = await spendLoginCode(tx, hashToken(proof.loginCode), from.address);
    if (spent === undefined) {
      presenter.refuse({ ...from, reason: 'no such login code', userId: null });
      throw new Fault('unauthorized', 'the login code is unknown, spent, or older than 10 minutes');
    }
    const caller = callerOf(presenter, spent, from);
    return begin(tx, { caller, endsAt: spent.session_ends_at, via: 'login_code', from });
  });
}

interface Beginning {
  readonly caller: Caller;
  readonly endsAt: Date | null;
  readonly via: 'api_token' | 'login_code';
  readonly from: Address;
}

async function begin(tx: Tx, { caller, endsAt, via, from }: Beginning): Promise<OpenedSession> {
  const secret = newToken('mms_');
  const id = randomUUIDv7();
  const made = await insertSession(tx, {
    ...{ id, userId: caller.userId, tokenId: caller.tokenId, secretHash: hashToken(secret), endsAt },
    ...{ lifeSeconds: sessionSeconds, perUserMax },
  });
  if (made === undefined) throw new Fault('unauthorized', 'the API token behind this login is revoked');
  await note(tx, { type: 'session_started', caller, from, data: { session_id: id, via } });
  return {
    secret,
    caller: { ...caller, session: { id, expiresAt: made.expires_at, seenAt: made.server_time } },
  };
}

/**
 * Who a session's cookie speaks for; unauthorized or forbidden when nobody.
 * @param isUse false for looks that must not keep the session alive
 */
export async function authenticateSession(
  presenter: Presenter,
  secret: string,
  from: Address,
  isUse: boolean,
): Promise<Caller> {
  const shown = { secretHash: hashToken(secret), address: from.address };
  const found = await presentSession(presenter.db, shown, { isUse, idleSeconds });
  if (found === undefined) throw new Fault('unauthorized', 'the session is over; log in again');
  const caller = callerOf(presenter, found satisfies PresentedToken, from);
  const { session_id: id, session_expires_at: expiresAt, server_time: seenAt } = found;
  return { ...caller, session: { id, expiresAt, seenAt } };
}

/** Logs out. */
export async function endSession(db: Db, caller: Caller, from: Address): Promise<void> {
  const { session } = caller;
  if (session === null) return;
  await db.tx(async (tx) => {
    if (!(await deleteSession(tx, session.id))) return;
    await note(tx, { type: 'session_ended', caller, from, data: { session_id: session.id } });
  });
}

interface Note {
  readonly type: 'login_link_created' | 'session_started' | 'session_ended';
  readonly caller: Caller;
  readonly from: Address;
  readonly data?: Record<string, unknown>;
}

function note(tx: Tx, { type, caller, from, data }: Note): Promise<void> {
  return insertEvent(tx, {
    instanceId: null,
    userId: caller.userId,
    actorId: caller.userId,
    type,
    data: { token_id: caller.tokenId, ...data },
    ip: from.address,
    userAgent: from.userAgent,
  });
}
