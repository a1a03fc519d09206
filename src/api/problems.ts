// Every refusal and failure leaves here as application/problem+json (RFC 9457) with a registered code. What is not a
// Fault and not the framework's own refusal is a failure of ours: it is logged with its cause and answered without.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { type ErrorCode, errorRegistry, Fault, type FieldError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Problem } from './contract.ts';

export const problemType = 'application/problem+json';

/** The problem a fault is told as. */
function problemOf(fault: Fault, requestId: string): Problem {
  return {
    type: `urn:minimcp:error:${fault.code}`,
    title: fault.title,
    status: fault.status,
    code: fault.code,
    detail: fault.message,
    errors: fault.errors.map(({ pointer, message }) => ({ pointer, message })),
    request_id: requestId,
  };
}

/** Answers with a fault. */
export function sendFault(reply: FastifyReply, fault: Fault): FastifyReply {
  if (fault.retryAfterS !== undefined) reply.header('retry-after', String(Math.ceil(fault.retryAfterS)));
  reply.header('x-request-id', reply.request.id);
  if (fault.status === 401) reply.header('www-authenticate', 'Bearer realm="minimcp"');
  return reply
    .code(fault.status)
    .type(problemType)
    .serializer((text: string) => text)
    .send(JSON.stringify(problemOf(fault, reply.request.id)));
}

/** Answers whatever a handler, a hook or the framework threw. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  sendFault(reply, toldFault(error, request, log));
}

/** What whoever asked is told of an error; what is ours to mend is logged with its cause. */
export function toldFault(error: unknown, request: FastifyRequest, log: Logger): Fault {
  const fault = faultOf(error, request);
  // 502 and 504 are of instances, which are their owners' to mend.
  if (fault.status === 500) {
    log.error(
      { err: error, request_id: request.id, method: request.method, route: request.routeOptions.url },
      'request failed',
    );
  }
  return fault;
}

function faultOf(error: unknown, request: FastifyRequest): Fault {
  if (error instanceof Fault) return withRetry(error);
  if (hasZodFastifySchemaValidationErrors(error)) return validationFault(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = frameworkFaults[code];
  if (known !== undefined) return new Fault(known[0], known[1](request, error as FastifyError));
  return new Fault('internal', 'the log has the cause under this request_id', { cause: error });
}

/** Faults of these statuses always say when trying again makes sense. */
function withRetry(fault: Fault): Fault {
  if (fault.retryAfterS !== undefined || (fault.status !== 503 && fault.status !== 429)) return fault;
  return new Fault(fault.code, fault.message, { errors: fault.errors, retryAfterS: 5, cause: fault.cause });
}

const frameworkFaults: Readonly<
  Record<string, readonly [ErrorCode, (request: FastifyRequest, error: FastifyError) => string]>
> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    (request) =>
      `the body is ${request.headers['content-type'] ?? 'of no stated type'}; send application/json`,
  ],
  FST_ERR_CTP_BODY_TOO_LARGE: [
    'body_too_large',
    (request) => `the body may have ${request.routeOptions.bodyLimit ?? 'no'} bytes at most`,
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed_request', () => 'Content-Length and the body disagree'],
  FST_ERR_BAD_URL: ['malformed_request', () => 'the URL cannot be decoded'],
  FST_ERR_MAX_PARAM_LENGTH: ['not_found', () => 'nothing here has so long a name or id'],
  FST_ERR_ASYNC_CONSTRAINT: ['malformed_request', () => 'the request cannot be routed'],
  ECONNRESET: ['malformed_request', () => 'the request was cut off'],
};

/** Path: nothing of that name. Body: a field was refused. The rest of the request: it could not be read. */
function validationFault(error: FastifyError): Fault {
  const part = error.validationContext ?? 'body';
  const issues = error.validation ?? [];
  if (part === 'params') return new Fault('not_found', 'nothing here has such a name or id');
  const prefix = part === 'body' ? '' : part === 'querystring' ? '/query' : `/${part}`;
  const errors = issues.flatMap((issue) => fieldErrors(issue, prefix));
  const detail = errors.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ');
  if (
    part === 'body' &&
    issues.every((issue) => issue.instancePath !== '/' || unknownKeys(issue) !== undefined)
  ) {
    return new Fault('invalid_field', detail, { errors });
  }
  return new Fault('malformed_request', part === 'body' ? 'a JSON object is needed as the body' : detail, {
    errors,
  });
}

type Issue = NonNullable<FastifyError['validation']>[number];

function unknownKeys(issue: Issue): readonly string[] | undefined {
  const keys = issue.keyword === 'unrecognized_keys' ? issue.params.keys : undefined;
  return Array.isArray(keys) ? keys.map(String) : undefined;
}

function fieldErrors(issue: Issue, prefix: string): FieldError[] {
  const at = prefix + (issue.instancePath === '/' ? '' : issue.instancePath);
  const keys = unknownKeys(issue);
  if (keys === undefined) return [{ pointer: at, message: issue.message ?? 'not allowed' }];
  return keys
    .slice(0, 20)
    .map((key) => ({ pointer: `${at}/${escapePointer(key)}`, message: 'not known here' }));
}

/** One step of a JSON pointer (RFC 6901). */
export function escapePointer(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1').slice(0, 200);
}

/** A problem as raw HTTP, for requests that never became one. */
export function rawProblem(status: 400 | 408 | 431, detail: string, requestId: string): string {
  const entry = errorRegistry.malformed_request;
  const body = JSON.stringify({
    type: 'urn:minimcp:error:malformed_request',
    title: entry.title,
    status,
    code: 'malformed_request',
    detail,
    errors: [],
    request_id: requestId,
  } satisfies Problem);
  const reasons = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' };
  return [
    `HTTP/1.1 ${status} ${reasons[status]}`,
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
