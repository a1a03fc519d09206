// What went wrong, as every part of the page is told it: one error with what happened and what to do about it. The words
// of the API are kept; only the remedy is the page's own, for a reader who has a mouse and not a command line.
import type { Problem } from '../../api/contract.ts';
import type { ErrorCode } from '../../base/errors.ts';

type Code = ErrorCode | 'unreachable';

const tryLater = 'Wait a moment, then try again.';

/** By code, where the page knows better than "see detail" what its reader can do. */
const remedies: Readonly<Partial<Record<Code, string>>> = {
  unreachable: 'Check that the daemon runs ("minimcp up"). This page comes back by itself.',
  unauthorized: 'Log in again: "minimcp dashboard" prints a link, or use an API token.',
  forbidden: 'Ask an admin, or log in with a token that has the scope named above.',
  csrf_token_wrong: 'Reload the page: its session has changed, perhaps in another tab.',
  foreign_origin:
    'Open the page under its own address. Behind a proxy, MINIMCP_PUBLIC_URL must be set to it.',
  not_found: 'It may have been removed meanwhile. Go back to the list.',
  email_taken: 'Change the user there is, or give another address.',
  idempotency_in_progress: 'Look at the list whether it was done before you try again.',
  name_taken: 'Choose another name, or remove the instance that has it.',
  illegal_in_status: 'Its status has changed meanwhile. Look again at what it offers now.',
  lease_over: 'Renew the instance: that gives it a new lease at the same URL.',
  invalid_field: 'Correct what is marked, then send it again.',
  unknown_type: 'Choose one of the types in the list.',
  type_disabled: 'Ask an admin to switch the type on.',
  type_unavailable: 'Ask an admin to install its package, or choose another type.',
  api_key_required: 'Store an API key for this type first, then ask again.',
  isolation_unavailable: 'An admin can see with "minimcp doctor" what this machine lacks.',
  quota_exceeded: 'Stop or remove an instance, or ask an admin for more.',
  rate_limited: tryLater,
  start_queue_full: tryLater,
  no_port_free: 'Wait for a lease to end, or ask an admin to widen the pool of ports.',
  database_unavailable: `Running instances go on. ${tryLater}`,
  secrets_unavailable: 'An admin must mend the master keys: see "minimcp doctor".',
  draining: 'This machine takes no new work. Try again later, or ask an admin.',
  internal: "Tell an admin the request id: the daemon's log has the cause.",
};

/** A refusal or failure, ready to be shown. */
export class ApiProblem extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  /** What was wrong this time. */
  readonly detail: string;
  readonly remedy: string;
  readonly fields: Problem['errors'];
  readonly requestId: string | undefined;

  constructor(
    problem: Partial<Problem> & { readonly code: string; readonly title: string },
    retryAfterS?: number,
  ) {
    super(problem.detail ?? problem.title);
    this.code = problem.code;
    this.status = problem.status ?? 0;
    this.title = problem.title;
    this.detail = problem.detail ?? '';
    this.fields = problem.errors ?? [];
    this.requestId = problem.request_id;
    const remedy = remedies[problem.code as Code] ?? 'Correct it and try again.';
    this.remedy =
      retryAfterS === undefined ? remedy : remedy.replace('Wait a moment', `Wait ${retryAfterS} s`);
  }

  /** The message for one field of a form, by its JSON pointer. */
  fieldMessage(pointer: string): string | undefined {
    return this.fields.find((field) => field.pointer === pointer)?.message;
  }
}

/** The daemon gave no answer. */
export function unreachable(): ApiProblem {
  return new ApiProblem({ code: 'unreachable', title: 'The daemon does not answer' });
}

/** Whatever was thrown, as a problem. */
export function problemOf(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiProblem({ code: 'internal', title: 'The page failed', detail });
}
