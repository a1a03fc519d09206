// The registry of everything that can be refused or can fail, by code: HTTP status, title, whether trying again
// can help. It refuses unregistered codes. docs/errors.md is held equal to it by a test.

interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  /** What the reader can do about it; printed in docs/errors.md. */
  readonly remedy: string;
}

export const errorRegistry = {
  malformed_json: {
    status: 400,
    title: 'The body is not valid JSON',
    remedy: 'Send one JSON document, UTF-8.',
  },
  malformed_request: {
    status: 400,
    title: 'The request is malformed',
    remedy: 'See errors[] for the part that could not be read.',
  },
  unauthorized: {
    status: 401,
    title: 'A valid API token is needed',
    remedy: 'Send "Authorization: Bearer <API token>". Access tokens of instances are not API tokens.',
  },
  forbidden: {
    status: 403,
    title: 'Not allowed',
    remedy: 'Ask an admin, or use a token with the scope named in detail.',
  },
  csrf_token_wrong: {
    status: 403,
    title: 'The X-CSRF-Token is missing or wrong',
    remedy: 'With a cookie, changes need the csrf_token of GET /api/v1/session in that header.',
  },
  foreign_origin: {
    status: 403,
    title: 'Another site asks',
    remedy: 'Open the dashboard under its own address; behind a proxy set MINIMCP_PUBLIC_URL to it.',
  },
  not_found: {
    status: 404,
    title: 'Not there, or not yours',
    remedy: 'Check the id; "minimcp ls --all" lists what you may see.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The method is not offered here',
    remedy: 'Use one of the methods named in the Allow header.',
  },
  email_taken: {
    status: 409,
    title: 'The e-mail address is taken',
    remedy: 'One user per address: change the user there is, or give another address.',
  },
  idempotency_in_progress: {
    status: 409,
    title: 'The first request with this Idempotency-Key has not ended',
    remedy: 'Try again after Retry-After; where there is none, look what exists and use a new key.',
  },
  name_taken: {
    status: 409,
    title: 'The name is taken',
    remedy: 'Choose another name, or remove the instance that has it.',
  },
  type_in_use: {
    status: 409,
    title: 'Instances of this server type exist, or it is shipped',
    remedy: 'Switch it off instead: "minimcp types disable NAME".',
  },
  illegal_in_status: {
    status: 409,
    title: 'Not possible in this status',
    remedy: 'docs/state-machine.md says what is possible in which status.',
  },
  restart_required: {
    status: 409,
    title: 'The instance was started by another version of MiniMCP',
    remedy: 'Restart it: "minimcp restart ID", or POST …/restart.',
  },
  key_not_proved: {
    status: 409,
    title: 'No server became ready with the new API key',
    remedy:
      'See last_lines for what it said; the old key stays in use. Store a better one: "minimcp keys set TYPE --roll".',
  },
  lease_over: {
    status: 410,
    title: 'The lease is over',
    remedy: 'Renew the instance: "minimcp renew ID", or POST …/renew.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    remedy: 'Stay under the limit named in detail.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported content type',
    remedy: 'Send application/json.',
  },
  invalid_field: {
    status: 422,
    title: 'A field was refused',
    remedy: 'See errors[]: each names the field and what would be right.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'This Idempotency-Key belongs to another request',
    remedy: 'One key per request: repeat the same body under it, or use a new key.',
  },
  unknown_type: {
    status: 422,
    title: 'No such server type',
    remedy: '"minimcp types ls" lists the types there are.',
  },
  type_disabled: {
    status: 422,
    title: 'The server type is switched off',
    remedy: 'An admin can switch it on: "minimcp types enable NAME".',
  },
  type_unavailable: {
    status: 422,
    title: 'The package of this server type is missing',
    remedy: 'Install the package named in detail, or have an admin remove the type.',
  },
  package_tampered: {
    status: 422,
    title: 'A package is not what it is vouched to be',
    remedy: 'Do not use it before you know why. detail says what differs, and from what.',
  },
  api_key_required: {
    status: 422,
    title: 'This server type needs an API key',
    remedy: 'Store one: "minimcp keys set TYPE", or PUT /api/v1/api-keys/TYPE.',
  },
  isolation_unavailable: {
    status: 422,
    title: 'The required isolation is not to be had here',
    remedy: '"minimcp doctor" says which level this machine reaches and what is missing.',
  },
  quota_exceeded: {
    status: 429,
    title: 'Your quota of instances is used up',
    remedy: 'Stop or remove an instance, or ask an admin for more.',
  },
  rate_limited: { status: 429, title: 'Too many requests', remedy: 'Wait for the time in Retry-After.' },
  start_queue_full: {
    status: 429,
    title: 'Too many starts are waiting',
    remedy: 'Wait for the time in Retry-After.',
  },
  instance_unreachable: {
    status: 502,
    title: 'The instance gave no answer that can be used',
    remedy: '"minimcp logs ID" may say why; "minimcp restart ID" starts it again.',
  },
  instance_timeout: {
    status: 504,
    title: 'The instance did not answer in time',
    remedy: 'What it was asked has been cancelled. "minimcp logs ID" may say what it waits for.',
  },
  no_port_free: {
    status: 503,
    title: 'No port is free',
    remedy: 'Wait for a lease to end, or have an admin widen port.range_start and port.range_end.',
  },
  database_unavailable: {
    status: 503,
    title: 'The database is away',
    remedy: 'Running instances go on. Try again after Retry-After.',
  },
  secrets_unavailable: {
    status: 503,
    title: 'Secrets cannot be opened',
    remedy: 'An admin must mend the master keys: see "minimcp doctor".',
  },
  draining: {
    status: 503,
    title: 'This node is not taking new work',
    remedy: 'Try again after Retry-After.',
  },
  internal: {
    status: 500,
    title: 'Something of ours failed',
    remedy: 'Report it with the request_id; the log has the cause.',
  },

  config_invalid: {
    status: 500,
    title: 'The configuration is wrong',
    remedy: 'Every fault is listed with its fix.',
  },
  node_held: {
    status: 500,
    title: 'Another supervisor holds this node',
    remedy: 'Stop it with "minimcp down", or give this one another MINIMCP_NODE_ID and data directory.',
  },
  node_fenced: {
    status: 500,
    title: 'Another supervisor has taken over this node',
    remedy: 'This one has stopped writing and exits; nothing is to be done.',
  },
  port_in_use: {
    status: 500,
    title: 'The API port is taken',
    remedy: 'Stop what holds it, or set MINIMCP_PORT.',
  },
  daemon_unreachable: {
    status: 500,
    title: 'No daemon answers',
    remedy: 'Start it with "minimcp up", or set MINIMCP_URL and MINIMCP_TOKEN.',
  },

  start_failed: {
    status: 500,
    title: 'The MCP server exited before it was ready',
    remedy: 'Its last lines are in error_message; "minimcp logs ID" has all of them.',
  },
  start_timeout: {
    status: 500,
    title: 'The MCP server did not answer in time',
    remedy:
      'Some servers need a network to start: see egress of the type. Otherwise raise its start time-out.',
  },
  crash_loop: {
    status: 500,
    title: 'The MCP server kept crashing',
    remedy: 'Its last lines are in error_message. Mend the cause, then "minimcp restart ID".',
  },
  limit_exceeded: {
    status: 500,
    title: 'The MCP server broke a limit',
    remedy: 'error_message names the limit and the figure.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorRegistry;

/** One refused part of the input: a JSON pointer into it and what would be right. */
export interface FieldError {
  readonly pointer: string;
  readonly message: string;
}

export interface FaultOptions {
  readonly errors?: readonly FieldError[];
  /** Seconds until trying again makes sense; sent as Retry-After. */
  readonly retryAfterS?: number;
  readonly cause?: unknown;
}

/** A failure with a registered code. `message` says what was wrong and what would be right, for its reader. */
export class Fault extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[];
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, detail: string, options: FaultOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.errors = options.errors ?? [];
    this.retryAfterS = options.retryAfterS;
  }

  get status(): number {
    return errorRegistry[this.code].status;
  }

  get title(): string {
    return errorRegistry[this.code].title;
  }
}

/** A refusal of one field, with the pointer API clients expect. */
export function fieldFault(code: ErrorCode, pointer: string, message: string): Fault {
  return new Fault(code, message, { errors: [{ pointer, message }] });
}

/** The message of anything thrown, for a log line or a detail. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
