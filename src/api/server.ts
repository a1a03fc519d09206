// The control API as one HTTP server. It checks who asks and what, hands the work to the rooms, and answers; it holds
// no state a restart would miss. A failure of a room becomes a problem with a registered code.
import { randomUUID } from 'node:crypto';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { Fault } from '../base/errors.ts';
import { createGate } from './auth.ts';
import { parseBody } from './body.ts';
import { type ApiOptions, defaultLimits } from './context.ts';
import { close, listen, reachable, refuseUnreadable } from './listening.ts';
import { mountMcp } from './mcp/mount-mcp.ts';
import { registerMetrics } from './metrics.ts';
import { bodyBytesMax, mount } from './mount.ts';
import { finishDocument, registerOpenapi } from './openapi.ts';
import type { ApiContext } from './operation.ts';
import { registerPage } from './page.ts';
import { answerError, sendFault } from './problems.ts';
import { openRegistryToPages } from './registry.ts';
import { routes } from './routes.ts';
import { createSharedRates } from './shared-rates.ts';
import { createStreams } from './streams.ts';
import { createStoredReader, watchLoop } from './vitals.ts';

export interface Api {
  readonly app: FastifyInstance;
  /** The address users open, once it listens. */
  readonly baseUrl: () => string;
  /** Starts to listen; port 0 takes any free one. @returns the URL. Throws port_in_use. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>;
  /** Ends every stream, finishes what is in hand, takes nothing new. */
  close(): Promise<void>;
}

/** Builds the API. Nothing listens yet. */
export async function createApi(options: ApiOptions): Promise<Api> {
  const limits = { ...defaultLimits, ...options.limits };
  const closing = new AbortController();
  const app = createApp(options);
  app.server.maxConnections = limits.connectionsMax;
  app.addHook('preClose', (done) => {
    closing.abort();
    done();
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  readJsonOnly(app);
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, options.log));

  const streams = createStreams(limits);
  let document: unknown;
  let listening = '';
  const { db, accounts, log } = options;
  const api: ApiContext = {
    ...options,
    streams,
    closing: closing.signal,
    stored: createStoredReader(db),
    loopLag: watchLoop(closing.signal),
    holdRefused: (request, reply) => gate.holdRefused(request, reply),
    baseUrl: () => options.publicUrl ?? listening,
    openapi: () => {
      document ??= finishDocument(app.swagger());
      return document;
    },
  };
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    frameguard: { action: 'deny' },
    // TLS ends at a proxy, if anywhere: what it promises for its domain is not ours to say.
    hsts: false,
  });
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id).header('cache-control', 'no-store');
    done();
  });
  openRegistryToPages(app);
  await registerOpenapi(app, { version: options.node.version, publicUrl: options.publicUrl });
  await app.register(cookie);
  const rates = createSharedRates({ db, nodeId: options.node.id, log });
  const gate = await createGate(app, { accounts, limits, rates, own: options });
  registerMetrics(app, { ...options, streams });
  await registerPage(app, options.pageDir);
  for (const route of routes) mount(app, api, gate, route);
  mountMcp(app, api, { gate, subscriptionsMax: limits.streamsMax });
  answerUnknownRoutes(app);
  await app.ready();

  return {
    app,
    baseUrl: api.baseUrl,
    async listen(address) {
      const url = await listen(app, address);
      listening = reachable(url);
      return url;
    },
    close: () => close(app),
  };
}

function createApp(options: ApiOptions): FastifyInstance {
  return fastify({
    loggerInstance: options.log.child({ room: 'api' }) as FastifyBaseLogger,
    // One line for every request is the proxy's business; failures are logged where they are answered.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    // Who forwarded a request is believed only where a proxy is meant to stand, and only from this machine.
    trustProxy: options.publicUrl === undefined ? false : 'loopback',
    bodyLimit: bodyBytesMax,
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
    return503OnClosing: true,
    routerOptions: { maxParamLength: 300 },
    clientErrorHandler: refuseUnreadable,
    frameworkErrors: (error, request, reply) =>
      answerError(error, request as FastifyRequest, reply, options.log),
  }) as unknown as FastifyInstance;
}

function readJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const options = { parseAs: 'buffer' } as const;
  app.addContentTypeParser('application/json', options, (_request, bytes, done) => {
    try {
      done(null, parseBody(bytes as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

function answerUnknownRoutes(app: FastifyInstance): void {
  const patterns = routes.map(([method, path]) => ({
    method,
    pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/:[a-z_]+/g, '[^/]+')}$`),
  }));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (allowed.length === 0) return sendFault(reply, new Fault('not_found', 'there is no such path'));
    reply.header('allow', [...new Set(allowed)].join(', '));
    return sendFault(reply, new Fault('method_not_allowed', `${request.method} is not offered here`));
  });
}
