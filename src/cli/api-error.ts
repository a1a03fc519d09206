// What the API answers instead of a result, as an error: problem documents (RFC 9457), whole or broken.
import type { Problem } from '../api/contract.ts';

/** A refusal by the API. */
export class ApiError extends Error {
  readonly problem: Problem;
  readonly retryAfterS: number | undefined;

  constructor(problem: Problem, retryAfterS?: number) {
    super(problem.detail);
    this.name = 'ApiError';
    this.problem = problem;
    this.retryAfterS = retryAfterS;
  }
}

/** The refusal in a response that is not ok. Never fails: a proxy's page of HTML becomes a problem too. */
export async function readRefusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const problem = parseProblem(text, {
    status: response.status,
    title: response.statusText,
    detail: `${response.url} answered ${response.status} ${response.statusText}`.trim(),
  });
  return new ApiError(problem, Number.isFinite(retryAfter) ? retryAfter : undefined);
}

/** A problem document; what it lacks comes from `fallback`. */
export function parseProblem(text: string, fallback: Pick<Problem, 'status' | 'title' | 'detail'>): Problem {
  const base: Problem = { type: 'about:blank', code: 'internal', errors: [], request_id: '', ...fallback };
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...base, ...value } : base;
  } catch {
    return base;
  }
}

/** Whether the API says that there is no such thing, or none of the caller's. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.problem.status === 404;
}

/** Whether it says "not now". */
export function isTryAgain(error: unknown): boolean {
  return error instanceof ApiError && (error.problem.status === 503 || error.problem.status === 429);
}
