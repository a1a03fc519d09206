// The one door to users and API tokens: the admin of the first start, who a header speaks for, and what admins change.
// It refuses with unauthorized, forbidden, not_found and invalid_field; anything else thrown is a failure of ours.
import { Fault } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db, Principal, Tx } from '../db/pool.ts';
import { type ApiTokenRow, listTokens, revokeToken } from '../db/queries/api-tokens.ts';
import { listBeingErased } from '../db/queries/erasure.ts';
import { insertEvent } from '../db/queries/events.ts';
import { listAtWorkOf } from '../db/queries/instances.ts';
import { deleteLoginsOfToken, deleteOldLogins } from '../db/queries/sessions.ts';
import {
  hasUsers,
  listAtWorkOfDisabled,
  listUsers,
  readUser,
  type UserPatch,
  type UserRow,
} from '../db/queries/users.ts';
import type { Actor, Manager } from '../instances/types.ts';
import { type Address, authenticate, type Caller } from './authenticate.ts';
import { type Erasure, eraseUser, finishErasure } from './erasure.ts';
import { bootstrapAdmin } from './first-admin.ts';
import { plainAddress } from './networks.ts';
import { createRefusals } from './refusals.ts';
import {
  authenticateSession,
  createLoginCode,
  endSession,
  idleSeconds,
  type LoginCode,
  type LoginProof,
  type OpenedSession,
  openSession,
} from './sessions.ts';
import { createToken, type NewTokenAnswer, type TokenWish } from './tokens.ts';
import { changeUser, createUser, type NewUserWish } from './users.ts';

export interface AccountsOptions {
  readonly db: Db;
  readonly log: Logger;
  /** Ends the instances of whoever is disabled. */
  readonly manager: Pick<Manager, 'stop' | 'remove' | 'settled'>;
}

/** Where a request comes from. */
interface Origin {
  readonly ip: string | null;
  readonly userAgent: string | null;
}

/** What takes a `viewer` reads under row-level security, as that person. */
export interface Accounts {
  /** Whether anybody was ever entered: false only before the first start is done. */
  hasUsers(): Promise<boolean>;
  /**
   * Makes the admin of the first start (admin@localhost) with this token, or gives the admin there is this token as
   * well. Refuses a token too short to be one, and one that was revoked, with config_invalid.
   */
  bootstrapAdmin(token: string): Promise<'created' | 'added' | 'known'>;
  /** Who an Authorization header speaks for; unauthorized or forbidden when nobody. */
  authenticate(header: string | undefined, origin: Origin): Promise<Caller>;
  /** Who a session's cookie speaks for. `isUse`: whether it keeps the session from ending for idleness. */
  authenticateSession(secret: string, origin: Origin, isUse: boolean): Promise<Caller>;
  /** A one-time code that logs in with the rights of the caller's token. */
  createLoginCode(caller: Caller, origin: Origin): Promise<LoginCode>;
  /** Logs in; unauthorized or forbidden when the proof is none. */
  openSession(proof: LoginProof, origin: Origin): Promise<OpenedSession>;
  /** Logs out; without effect for a caller without a session. */
  endSession(caller: Caller, origin: Origin): Promise<void>;
  listUsers(
    viewer: Principal,
    page: { readonly afterId: string | null; readonly limit: number },
  ): Promise<UserRow[]>;
  readUser(viewer: Principal, id: string): Promise<UserRow>;
  createUser(actor: Actor, wish: NewUserWish): Promise<UserRow>;
  /** Disabling also ends the user's instances; resolves when all of them are being ended. */
  patchUser(actor: Actor, id: string, patch: UserPatch): Promise<UserRow>;
  createToken(caller: Caller, actor: Actor, wish: TokenWish): Promise<NewTokenAnswer>;
  listTokens(
    viewer: Principal,
    page: { readonly userId: string; readonly afterId: string | null; readonly limit: number },
  ): Promise<ApiTokenRow[]>;
  /** Revokes a token of the actor's, or for an admin anyone's. */
  revokeToken(actor: Actor, id: string): Promise<void>;
  /**
   * Forgets a user: instances, keys, tokens, log lines; the audit trail stays without them. Resolves with 'ending' when
   * processes take longer than an answer should: the rest follows by the sweep, or when asked again.
   */
  eraseUser(actor: Actor, id: string): Promise<Erasure>;
  /** Goes on with disablings and erasures that were cut short, and forgets logins that are over. @returns how many instances and users that were */
  sweep(): Promise<number>;
}

/** Instances ended at a time: each takes a database connection. */
const atOnceMax = 5;
const supervisor: Actor = { userId: null, role: 'admin', ip: null, userAgent: null };

export function createAccounts(options: AccountsOptions): Accounts {
  const { db, log, manager } = options;
  const presenter = { db, refuse: createRefusals(db, log) };

  const endAll = async (actor: Actor, ids: readonly string[]): Promise<number> => {
    let ended = 0;
    for (let from = 0; from < ids.length; from += atOnceMax) {
      const some = ids.slice(from, from + atOnceMax);
      const results = await Promise.allSettled(some.map((id) => manager.stop(actor, id, 'disabled')));
      // One that ended by itself meanwhile is no failure; the sweep comes back to the rest.
      for (const result of results) {
        if (result.status === 'fulfilled') ended += 1;
        else log.info({ err: result.reason }, 'an instance of a disabled user was not ended');
      }
    }
    return ended;
  };

  return {
    hasUsers: () => hasUsers(db),
    bootstrapAdmin: (token) => db.tx((tx) => bootstrapAdmin(tx, token)),
    authenticate: (header, origin) => authenticate(presenter, header, addressOf(origin)),
    authenticateSession: (secret, origin, isUse) =>
      authenticateSession(presenter, secret, addressOf(origin), isUse),
    createLoginCode: (caller, origin) => createLoginCode(db, caller, addressOf(origin)),
    openSession: (proof, origin) => openSession(presenter, proof, addressOf(origin)),
    endSession: (caller, origin) => endSession(db, caller, addressOf(origin)),
    listUsers: (viewer, page) => db.as(viewer, (tx) => listUsers(tx, page)),
    async readUser(viewer, id) {
      const user = await db.as(viewer, (tx) => readUser(tx, id));
      if (user === undefined) throw new Fault('not_found', `there is no user ${id}`);
      return user;
    },
    createUser: (actor, wish) => createUser(db, actor, wish),
    async patchUser(actor, id, patch) {
      const user = await changeUser(db, actor, id, patch);
      if (user.disabled_at !== null) await endAll(actor, await listAtWorkOf(db, id));
      return user;
    },
    createToken: (caller, actor, wish) => createToken(db, caller, actor, wish),
    listTokens: (viewer, page) => db.as(viewer, (tx) => listTokens(tx, page)),
    revokeToken: (actor, id) => db.tx((tx) => revoke(tx, actor, id)),
    eraseUser: (actor, id) => eraseUser(options, actor, id),
    async sweep() {
      await deleteOldLogins(db, idleSeconds);
      const ended = await endAll(supervisor, await listAtWorkOfDisabled(db, 1_000));
      const ids = await listBeingErased(db, 100);
      for (const id of ids) await finishErasure(options, supervisor, id);
      return ended + ids.length;
    },
  };
}

function addressOf({ ip, userAgent }: Origin): Address {
  return { address: ip === null ? null : plainAddress(ip), userAgent };
}

async function revoke(tx: Tx, actor: Actor, id: string): Promise<void> {
  const revoked = await revokeToken(tx, id, actor.role === 'admin' ? null : actor.userId);
  if (revoked === undefined) throw new Fault('not_found', `there is no token ${id} that you may revoke`);
  await deleteLoginsOfToken(tx, id);
  await insertEvent(tx, {
    instanceId: null,
    userId: revoked.user_id,
    actorId: actor.userId,
    type: 'token_revoked',
    data: { token_id: id, name: revoked.name, prefix: revoked.prefix },
    ip: actor.ip,
    userAgent: actor.userAgent,
  });
}
