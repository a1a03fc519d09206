// Puts the table of routes.ts onto the server: schemas for checking and for OpenAPI, the gate before the body, and
// around each handler what is the same for all: the caller, the signal, and Idempotency-Key on POST.
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { z } from 'zod';
import { Fault } from '../base/errors.ts';
import { actorOf, callerOf, type Gate, secretOf } from './auth.ts';
import { wrongText } from './body.ts';
import { idempotently, type PlainAnswer } from './idempotency.ts';
import type { Answer, ApiContext, Call, Operation } from './operation.ts';
import { schemaOf } from './route-schema.ts';
import type { Route } from './routes.ts';

export const bodyBytesMax = 64 * 1_024;

/** Mounts one route. */
export function mount(app: FastifyInstance, api: ApiContext, gate: Gate, route: Route): void {
  const [method, url, access, operation] = route;
  const hook = gate.hook(access, operation.withinMs);
  const options: RouteOptions = {
    method,
    url,
    bodyLimit: operation.bodyBytesMax ?? bodyBytesMax,
    exposeHeadRoute: method === 'GET' && operation.streams !== true,
    schema: schemaOf(route),
    preValidation: refuseUnkeepableText,
    handler: (request, reply) => handle({ api, operation, isPublic: access === 'public' }, request, reply),
    ...(hook === undefined ? {} : { onRequest: hook }),
  };
  app.route(options);
}

interface Mounted {
  readonly api: ApiContext;
  readonly operation: Operation;
  readonly isPublic: boolean;
}

async function handle(mounted: Mounted, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const { operation } = mounted;
  reply.code(Number(Object.keys(operation.answers)[0]));
  const call = callOf(mounted, request, reply);
  const key = request.method === 'POST' ? request.headers['idempotency-key'] : undefined;
  if (key === undefined || mounted.isPublic) return operation.handle(call);
  return answerOnce(mounted, call, String(key));
}

function callOf({ api, isPublic }: Mounted, request: FastifyRequest, reply: FastifyReply) {
  let signal: AbortSignal | undefined;
  const call = {
    api,
    params: request.params,
    query: request.query,
    body: request.body,
    request,
    reply,
    // Made only for those who wait: most answers are done before anybody could go away.
    get signal() {
      signal ??= signalOf(reply, api.closing);
      return signal;
    },
  };
  return (isPublic ? call : Object.assign(call, identityOf(request))) as unknown as Call<never, never, never>;
}

/** Who asks, as each room below wants to know it. */
export function identityOf(request: FastifyRequest) {
  const caller = callerOf(request);
  const actor = actorOf(request);
  return {
    caller,
    actor,
    principal: { userId: caller.userId, role: actor.role },
    viewerId: caller.actsAsAdmin ? null : caller.userId,
  };
}

/** Aborts when the connection is closed, before or after the answer, or the API closes. */
export function signalOf(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const end = new AbortController();
  const abort = (): void => {
    closing.removeEventListener('abort', abort);
    end.abort();
  };
  closing.addEventListener('abort', abort);
  reply.raw.once('close', abort);
  if (closing.aborted || reply.raw.destroyed) abort();
  return end.signal;
}

async function answerOnce(
  { api, operation }: Mounted,
  call: Call<never, never, never>,
  key: string,
): Promise<unknown> {
  const { request, reply } = call;
  const answer = await idempotently(
    {
      db: api.db,
      tokenId: call.caller.tokenId,
      secret: secretOf(request),
      key,
      method: request.method,
      path: request.url,
      body: request.body,
      onUnkept: (error) =>
        api.log.warn({ err: error }, 'an answer could not be kept for its Idempotency-Key'),
    },
    async (): Promise<PlainAnswer> => {
      const result = await operation.handle(call);
      const location = reply.getHeader('location');
      return {
        status: reply.statusCode,
        payload: serialize(operation.answers[reply.statusCode], result),
        location: location === undefined ? null : String(location),
      };
    },
  );
  if (answer.location !== null) reply.header('location', answer.location);
  if (answer.replayed) reply.header('idempotency-replayed', 'true');
  reply.code(answer.status);
  if (answer.payload === '') return reply.send();
  return reply
    .type('application/json; charset=utf-8')
    .serializer((text: string) => text)
    .send(answer.payload);
}

/** What the framework does for answers that are not kept: only what the schema names goes out. */
function serialize(answer: Answer | undefined, result: unknown): string {
  return answer instanceof z.ZodType ? JSON.stringify(z.encode(answer, result)) : '';
}

/** What PostgreSQL cannot keep as text is refused before anything is asked of it. Bodies are checked as they are read. */
async function refuseUnkeepableText(request: FastifyRequest): Promise<void> {
  const { params, query } = request as { params: Record<string, unknown>; query: Record<string, unknown> };
  for (const value of Object.values(params ?? {})) {
    if (wrongText(String(value)) !== undefined) {
      throw new Fault('not_found', 'nothing here has such a name or id');
    }
  }
  for (const [name, value] of Object.entries(query ?? {})) {
    const wrong = wrongText(name) ?? wrongText(String(value));
    if (wrong !== undefined) throw new Fault('malformed_request', `the query ${wrong}`);
  }
}
