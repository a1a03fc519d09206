// Logging in and out, and finding out at the start whether somebody is. The cookie is HttpOnly: the page never holds a
// credential, only the CSRF token of its session.
import { signal } from '@preact/signals';
import type { SessionView } from '../api/contract.ts';
import { get, send } from './api/client.ts';
import { type ApiProblem, problemOf } from './api/problem.ts';
import { hrefOf, parseHash } from './hash.ts';
import { go } from './router.ts';
import { endedBecause, session } from './session-state.ts';

export type Credentials = { readonly login_code: string } | { readonly api_token: string };

export async function logIn(credentials: Credentials): Promise<void> {
  const opened = await send<SessionView>('POST', '/session', credentials, { isLogin: true });
  endedBecause.value = undefined;
  session.value = opened;
}

export async function logOut(): Promise<void> {
  await send('DELETE', '/session');
  endedBecause.value = undefined;
  session.value = null;
}

/**
 * Takes the code out of a one-time link, and the link out of the address bar and the history at once: it must not be
 * left for whoever looks next.
 */
export function takeLoginCode(): string | undefined {
  const { path, query } = parseHash(location.hash);
  if (path !== '/login') return undefined;
  go(hrefOf('/'), { replace: true });
  return query.code;
}

/** Why it is not known yet who is logged in. */
export const startProblem = signal<ApiProblem | undefined>(undefined);

/** How long to wait for a daemon that does not answer, milliseconds. */
const againMs = 2_000;

/** Opens the session of the one-time link, or finds the one there is; goes on trying while the daemon is away. */
export async function findSession(code: string | undefined): Promise<void> {
  try {
    if (code === undefined) session.value = (await get<SessionView>('/session', { isLogin: true })).data;
    else await logIn({ login_code: code });
    startProblem.value = undefined;
  } catch (error) {
    const problem = problemOf(error);
    if (problem.status > 0 && problem.status < 500) {
      startProblem.value = undefined;
      if (code === undefined) session.value = null;
      else {
        endedBecause.value =
          'That link did not work: it is good once, and only for a while. "minimcp dashboard" prints a new one.';
        await findSession(undefined);
      }
      return;
    }
    startProblem.value = problem;
    await new Promise((resolve) => setTimeout(resolve, againMs));
    await findSession(code);
  }
}
