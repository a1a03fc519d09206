// Who asks, before anything of the body is read: address within its rate, token or session known and still good, scope
// enough, token within its rate. It refuses with 401, 403 and 429; what it finds stands in request.caller from then on.
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Accounts } from '../accounts/accounts.ts';
import { allows, bearerOf, type Caller } from '../accounts/authenticate.ts';
import { Fault } from '../base/errors.ts';
import type { Scope } from '../domain/scopes.ts';
import type { Actor } from '../instances/types.ts';
import type { ApiLimits } from './context.ts';
import { cookieOf, type OwnAddress, refuseForged, takeCookie } from './cookie.ts';
import type { SharedRates } from './shared-rates.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on public routes. */
    caller: Caller | null;
  }
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** What a route asks of its caller: nothing, a session's cookie, any good API token, or one with a scope. */
export type Access = 'public' | 'session' | 'anyone' | Scope;

export interface Gate {
  /** The hook for routes with this access; undefined when there is nothing to check. It may be given a bound of time. */
  hook(
    access: Access,
    withinMs?: number,
  ): ((request: FastifyRequest, reply: FastifyReply) => Promise<void>) | undefined;
  /** Counts a login that was refused against its address. */
  readonly holdRefused: (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
}

interface GateOptions {
  readonly own: OwnAddress;
  readonly accounts: Accounts;
  readonly limits: ApiLimits;
  /** What the other supervisors have let through. */
  readonly rates: SharedRates;
}

/** Prepares the checks. Every request, known route or not, counts against its address. */
export async function createGate(
  app: FastifyInstance,
  { accounts, limits, rates, own }: GateOptions,
): Promise<Gate> {
  await app.register(rateLimit, { global: false });
  app.decorateRequest('caller', null);
  const minute = { timeWindow: 60_000 };
  const address = app.createRateLimit({ ...minute, max: limits.addressPerMinute });
  const refusals = app.createRateLimit({ ...minute, max: limits.refusedLoginsPerMinute });
  const token = app.createRateLimit({
    ...minute,
    max: (request: FastifyRequest) => request.caller?.rateLimitPerMinute ?? limits.tokenPerMinute,
    keyGenerator: (request: FastifyRequest) => request.caller?.tokenId ?? request.ip,
  });
  type Limiter = typeof address;

  const hold = async (limiter: Limiter, kind: string, { request, reply }: Exchange): Promise<void> => {
    const state = await limiter(request);
    if (state.isAllowed) return;
    const elsewhere = rates.count(`${kind}:${state.key}`);
    const left = Math.max(0, state.remaining - elsewhere);
    reply.header('ratelimit-limit', state.max);
    reply.header('ratelimit-remaining', left);
    reply.header('ratelimit-reset', state.ttlInSeconds);
    listIn(reply, 'ratelimit-policy', `"${kind}";q=${state.max};w=60`);
    listIn(reply, 'ratelimit', `"${kind}";r=${left};t=${state.ttlInSeconds}`);
    if (!state.isExceeded && (elsewhere === 0 || state.remaining >= elsewhere)) return;
    throw new Fault('rate_limited', `more than ${state.max} requests in a minute`, {
      retryAfterS: Math.max(1, state.ttlInSeconds),
    });
  };

  app.addHook('onRequest', (request, reply) => hold(address, 'address', { request, reply }));
  app.addHook('onClose', async () => rates.stop());

  const holdRefused: Gate['holdRefused'] = (request, reply) => hold(refusals, 'refused', { request, reply });

  return {
    holdRefused,
    hook(access, withinMs) {
      if (access === 'public') return undefined;
      return async (request, reply) => {
        try {
          const found = callerBehind(accounts, request, { isUse: true, only: access });
          request.caller = await (withinMs === undefined ? found : soon(found, withinMs));
        } catch (error) {
          if (!(error instanceof Fault) || error.status !== 401) throw error;
          // Guessing is not stopped by this, it is hopeless anyway; its cost is.
          await holdRefused(request, reply);
          if (cookieOf(request) !== undefined) takeCookie(reply, own);
          throw error;
        }
        const secret = cookieOf(request);
        if (secret !== undefined) refuseForged(request, own, secret);
        await hold(token, 'token', { request, reply });
        requireAccess(request.caller, access);
      };
    },
  };
}

/** Adds to a header that is a list: each bound a request came under has its item. */
function listIn(reply: FastifyReply, name: string, item: string): void {
  const items = reply.getHeader(name);
  reply.header(name, items === undefined ? item : `${items}, ${item}`);
}

/**
 * Who a request speaks for: the header, where there is one, or else the cookie.
 * @throws Fault unauthorized, forbidden, malformed_request
 */
export function callerBehind(
  accounts: Accounts,
  request: FastifyRequest,
  { isUse, only }: { readonly isUse: boolean; readonly only?: Access | undefined },
): Promise<Caller> {
  const header = singleAuthorization(request);
  const secret = cookieOf(request);
  if (secret !== undefined) return accounts.authenticateSession(secret, originOf(request), isUse);
  if (only === 'session') throw new Fault('unauthorized', 'there is no session: log in first');
  return accounts.authenticate(header, originOf(request));
}

/** @throws Fault database_unavailable past so many milliseconds */
async function soon<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Fault('database_unavailable', 'the database does not answer', { retryAfterS: 5 })),
    ms,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Throws forbidden, with the scope that is missing. */
export function requireAccess(caller: Caller, access: Access): void {
  if (access === 'public' || access === 'session' || access === 'anyone' || allows(caller, access)) return;
  throw new Fault('forbidden', `this needs an API token with the scope "${access}"${ofAdmin(access)}`);
}

const ofAdmin = (access: Scope): string => (access === 'admin' ? ', of an admin' : '');

/** Node takes the first of two Authorization headers; two are refused, whichever is right. */
function singleAuthorization(request: FastifyRequest): string | undefined {
  const names = request.raw.rawHeaders.filter((name, at) => at % 2 === 0 && /^authorization$/i.test(name));
  if (names.length > 1) throw new Fault('malformed_request', 'there is more than one Authorization header');
  return request.headers.authorization;
}

/** Where a request comes from, for events and network checks. */
export function originOf(request: FastifyRequest): { ip: string; userAgent: string | null } {
  return { ip: request.ip, userAgent: request.headers['user-agent'] ?? null };
}

/** The caller of a request that has passed the gate. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new Error('a public route has no caller');
  return request.caller;
}

/** The caller as the manager and the events know them. */
export function actorOf(request: FastifyRequest): Actor {
  const caller = callerOf(request);
  return { userId: caller.userId, role: caller.actsAsAdmin ? 'admin' : 'user', ...originOf(request) };
}

/** The token itself, or the secret of the session, for deriving keys from it. */
export function secretOf(request: FastifyRequest): string {
  return cookieOf(request) ?? bearerOf(request.headers.authorization) ?? '';
}
