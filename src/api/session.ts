// Logging in to the dashboard and out again. A session stands for the API token behind it; its cookie is HttpOnly, and
// what the page needs to change anything, the CSRF token, is in the answers here.
import { z } from 'zod';
import type { Caller } from '../accounts/authenticate.ts';
import type { LoginProof } from '../accounts/sessions.ts';
import { Fault, fieldFault } from '../base/errors.ts';
import { originOf } from './auth.ts';
import { dataOf, loginLinkSchema, loginSchema, type SessionView, sessionSchema } from './contract.ts';
import { cookieOf, csrfTokenOf, giveCookie, refuseForeignOrigin, takeCookie } from './cookie.ts';
import { operation } from './operation.ts';

export const openSession = operation({
  id: 'openSession',
  summary:
    'Logs in with a one-time login code or an API token: a cookie, and the token that changes need beside it',
  body: loginSchema,
  answers: { 201: dataOf(sessionSchema) },
  async handle(call) {
    const { api, body, request, reply } = call;
    refuseForeignOrigin(request, api);
    const proof = proofOf(body);
    try {
      const { secret, caller } = await api.accounts.openSession(proof, originOf(request));
      const view = sessionView(caller, secret);
      giveCookie(reply, api, secret, new Date(view.expires_at));
      return { data: view };
    } catch (error) {
      if (error instanceof Fault && error.status === 401) await api.holdRefused(request, reply);
      throw error;
    }
  },
});

export const getSession = operation({
  id: 'getSession',
  summary: 'The session of the cookie shown',
  answers: { 200: dataOf(sessionSchema) },
  handle: ({ caller, request }) => ({ data: sessionView(caller, cookieOf(request) ?? '') }),
});

export const endSession = operation({
  id: 'endSession',
  summary: 'Logs out: the session is over and the cookie taken back',
  answers: { 204: null },
  async handle({ api, caller, request, reply }) {
    await api.accounts.endSession(caller, originOf(request));
    takeCookie(reply, api);
  },
});

export const createLoginLink = operation({
  id: 'createLoginLink',
  summary:
    'A link that logs in to the dashboard once, within ten minutes, with the rights of the token that asks',
  body: z.strictObject({}).nullish(),
  answers: { 201: dataOf(loginLinkSchema) },
  async handle({ api, caller, request }) {
    const made = await api.accounts.createLoginCode(caller, originOf(request));
    return {
      data: {
        url: loginUrl(api.baseUrl(), made.code),
        expires_at: made.expiresAt.toISOString(),
        server_time: made.serverTime.toISOString(),
      },
    };
  },
});

function proofOf({ login_code: loginCode, api_token: apiToken }: z.output<typeof loginSchema>): LoginProof {
  if (loginCode !== undefined && apiToken === undefined) return { loginCode };
  if (apiToken !== undefined && loginCode === undefined) return { apiToken };
  throw fieldFault('invalid_field', '/login_code', 'either login_code or api_token, and not both');
}

/** After the hash: it reaches no server's log and no Referer. */
export function loginUrl(base: string, code: string): string {
  return `${base}/#/login?code=${code}`;
}

function sessionView(caller: Caller, secret: string): SessionView {
  const { session, userId: id, email, name, role } = caller;
  if (session === null) throw new Error('this caller has no session');
  return {
    csrf_token: csrfTokenOf(secret),
    expires_at: session.expiresAt.toISOString(),
    server_time: session.seenAt.toISOString(),
    user: { id, email, name, role },
    acts_as_admin: caller.actsAsAdmin,
    scopes: [...caller.scopes],
  };
}
