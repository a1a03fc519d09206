// Runs one tool: its input checked, its caller allowed, then the operation itself, the same function on the same call that
// REST makes. What is refused comes back as a tool error with the registered code, so that an agent can act on it.
import type { CallToolResult } from '@modelcontextprotocol/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type ErrorCode, errorRegistry, Fault, type FieldError } from '../../base/errors.ts';
import { callerOf, requireAccess } from '../auth.ts';
import { identityOf } from '../mount.ts';
import type { ApiContext, Call, Operation } from '../operation.ts';
import { escapePointer, toldFault } from '../problems.ts';
import { routes } from '../routes.ts';
import type { Tool, ToolRequest } from './tool.ts';

/** The HTTP request a tool call came in, past the gate. */
export interface Exchange {
  readonly api: ApiContext;
  readonly request: FastifyRequest;
  readonly signal: AbortSignal;
}

/** The result of a tool. It never throws: a refusal is a result that says so. */
export async function runTool(exchange: Exchange, tool: Tool, given: unknown): Promise<CallToolResult> {
  try {
    requireAccess(callerOf(exchange.request), accessOf(tool.operation));
    const input = checked(tool.input, given ?? {});
    const answer = await tool.operation.handle(callOf(exchange, tool.operation, tool.request(input)));
    const result = tool.output.parse(tool.result(answer, input));
    return { content: [{ type: 'text', text: tool.text(result) }], structuredContent: result };
  } catch (error) {
    return refusal(toldFault(error, exchange.request, exchange.api.log), exchange.request.id);
  }
}

/** A tool's scope is its route's. */
function accessOf(operation: Operation) {
  const route = routes.find(([, , , other]) => other === operation);
  if (route === undefined) throw new Error(`${operation.id} has no route`);
  return route[2];
}

function callOf(
  { api, request, signal }: Exchange,
  operation: Operation,
  asked: ToolRequest,
): Call<never, never, never> {
  const prefer = asked.waitSeconds === undefined ? {} : { prefer: `wait=${asked.waitSeconds}` };
  const call = {
    api,
    params: checked(operation.params, asked.params),
    query: checked(operation.query, asked.query),
    body: checked(operation.body, asked.body),
    // Headers of REST mean nothing to a tool, but for the wait.
    request: { id: request.id, headers: prefer } as Pick<FastifyRequest, 'id' | 'headers'>,
    reply: unsent,
    signal,
    ...identityOf(request),
  };
  return call as unknown as Call<never, never, never>;
}

/** Takes the status and headers an operation sets; the result of a tool has neither. */
const unsent = { code: () => unsent, header: () => unsent } as unknown as FastifyReply;

function checked<Schema extends z.ZodType>(schema: Schema | undefined, value: unknown): z.output<Schema> {
  const parsed = schema?.safeParse(value);
  if (parsed === undefined) return undefined as z.output<Schema>;
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.flatMap(fieldErrors).slice(0, 20);
  const detail = errors.map(({ pointer, message }) => `${pointer}: ${message}`).join('; ');
  throw new Fault('invalid_field', detail, { errors });
}

function fieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  const at = issue.path.map((step) => `/${escapePointer(String(step))}`).join('');
  if (issue.code !== 'unrecognized_keys') return [{ pointer: at, message: issue.message }];
  return issue.keys.map((key) => ({ pointer: `${at}/${escapePointer(key)}`, message: 'not known here' }));
}

/** What an agent can do, where that is another thing than what a person at a shell can. */
const remedies: Partial<Record<ErrorCode, string>> = {
  api_key_required:
    'Ask your user to store one: "minimcp keys set TYPE". Keys are not given to tools of this server.',
  illegal_in_status:
    'Call get_instance to see its status: restore_instance starts what is stopped or failed.',
  lease_over: 'Call renew_instance.',
  name_taken: 'Choose another name, or call list_instances: it may be there already.',
  not_found: 'Check the id: list_instances with include_ended has all that you may see.',
  quota_exceeded:
    'Call stop_instance or remove_instance on one that is not needed, or ask an admin for more.',
  unknown_type: 'list_types has the types there are.',
};

function refusal(fault: Fault, requestId: string): CallToolResult {
  const remedy = remedies[fault.code] ?? errorRegistry[fault.code].remedy;
  const retry = fault.retryAfterS === undefined ? [] : [`retry after: ${Math.ceil(fault.retryAfterS)} s`];
  const text = [
    `${fault.code}: ${fault.title}`,
    `detail: ${fault.message}`,
    `what to do: ${remedy}`,
    ...retry,
    ...(fault.code === 'internal' ? [`request_id: ${requestId}`] : []),
  ].join('\n');
  const problem = {
    code: fault.code,
    status: fault.status,
    title: fault.title,
    detail: fault.message,
    remedy,
    errors: [...fault.errors],
    retry_after_seconds: fault.retryAfterS === undefined ? null : Math.ceil(fault.retryAfterS),
    request_id: requestId,
  };
  return { isError: true, content: [{ type: 'text', text }], _meta: { 'dev.minimcp/problem': problem } };
}
