// A browser's login, as far as requests show it: the cookie and the CSRF token.
import type { Answer, ApiHouse } from './api.ts';

export interface Login {
  /** For a Cookie header. */
  readonly cookie: string;
  readonly csrf: string;
  readonly answer: Answer;
}

/** Logs in; `answer` says how that went. */
export async function logIn(house: ApiHouse, body: Record<string, unknown>): Promise<Login> {
  const answer = await house.send('POST', '/api/v1/session', { token: '', body });
  return {
    cookie: answer.headers.get('set-cookie')?.split(';', 1)[0] ?? '',
    csrf: answer.json?.data?.csrf_token ?? '',
    answer,
  };
}
