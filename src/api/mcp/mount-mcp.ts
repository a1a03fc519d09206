// The control API over MCP: /mcp, both eras, stateless in each (a session would be state that a restart misses). Who asks
// is settled before the body is read, by the same gate and rates as REST; the SDK then speaks the protocol.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorRegistry, Fault } from '../../base/errors.ts';
import type { Gate } from '../auth.ts';
import { signalOf } from '../mount.ts';
import type { ApiContext } from '../operation.ts';
import { toldFault } from '../problems.ts';
import { refuseForeign } from './door.ts';
import type { McpHandler } from './handler.ts';
import type { Exchange } from './run-tool.ts';

interface McpOptions {
  readonly gate: Gate;
  readonly subscriptionsMax: number;
}

/** Mounts the endpoint. */
export function mountMcp(
  app: FastifyInstance,
  api: ApiContext,
  { gate, subscriptionsMax }: McpOptions,
): void {
  let handler: Promise<McpHandler> | undefined;
  // With the first request: the SDK is a tenth of the daemon's memory, and most installations have no use for this.
  const handlerOf = (): Promise<McpHandler> => {
    handler ??= import('./handler.ts').then(({ createHandler }) =>
      createHandler({ version: api.node.version, log: api.log, subscriptionsMax }),
    );
    return handler;
  };
  app.addHook('preClose', async () => (await handler)?.close());
  const authenticate = gate.hook('anyone');
  app.route({
    method: ['POST', 'GET', 'DELETE'],
    url: '/mcp',
    schema: { hide: true },
    exposeHeadRoute: false,
    onRequest: [
      async (request) => refuseForeign(request, api.publicUrl),
      ...(authenticate === undefined ? [] : [authenticate]),
    ],
    errorHandler: (error, request, reply) => sendRpcFault(reply, toldFault(error, request, api.log)),
    async handler(request, reply) {
      const { body } = request;
      if (request.method === 'POST' && (typeof body !== 'object' || body === null || Array.isArray(body)))
        throw new Fault(
          'malformed_request',
          'one JSON-RPC message is needed as the body; batches are not served',
        );
      const signal = signalOf(reply, api.closing);
      const exchange: Exchange = { api, request, signal };
      const answer = await (await handlerOf()).fetch(webRequestOf(request, signal), {
        authInfo: { token: '', clientId: '', scopes: [], extra: { exchange } },
        ...(body === undefined ? {} : { parsedBody: body }),
      });
      if (answer.status === 405) reply.header('allow', 'POST');
      return reply.send(answer);
    },
  });
}

/** The request as the SDK reads it: its body is handed over beside it, parsed. */
function webRequestOf({ method, url, headers }: FastifyRequest, signal: AbortSignal): Request {
  const given = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return new Request(`http://${headers.host}${url}`, { method, headers: given, signal });
}

const rpcCodes: Readonly<Record<string, number>> = {
  malformed_json: -32_700,
  malformed_request: -32_600,
  invalid_field: -32_602,
};

/** A refusal of the HTTP request itself, as a client of MCP reads it. */
function sendRpcFault(reply: FastifyReply, fault: Fault): FastifyReply {
  const data = { code: fault.code, errors: fault.errors, remedy: errorRegistry[fault.code].remedy };
  const error = { code: rpcCodes[fault.code] ?? -32_000, message: `${fault.title}: ${fault.message}`, data };
  if (fault.retryAfterS !== undefined) reply.header('retry-after', String(Math.ceil(fault.retryAfterS)));
  if (fault.status === 401) reply.header('www-authenticate', 'Bearer realm="minimcp"');
  return reply
    .code(fault.status)
    .type('application/json')
    .serializer((text: string) => text)
    .send(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
}
