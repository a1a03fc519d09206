// The OpenAPI 3.1 document, made from the same schemas the requests are checked with.
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { cookieName } from './cookie.ts';
import { answerExamples, bodyExamples, problemExample } from './examples.ts';
import { problemType } from './problems.ts';
import { routes } from './routes.ts';

export interface OpenapiOptions {
  readonly version: string;
  readonly publicUrl: string | undefined;
}

type Json = Record<string, unknown>;

/** Parameters in headers that every operation of a kind takes. They are read leniently, so no schema refuses them. */
const headerParameters = {
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description: 'Any text of your own: a repeated request with it is answered again, not done again',
    schema: { type: 'string', maxLength: 255 },
  },
  CsrfToken: {
    name: 'X-CSRF-Token',
    in: 'header',
    description: 'With a cookie in place of an API token: the csrf_token of GET /session',
    schema: { type: 'string' },
  },
  PreferWait: {
    name: 'Prefer',
    in: 'header',
    description:
      'wait=SECONDS, at most 120: hold the answer until the instance is running or at rest (RFC 7240)',
    schema: { type: 'string' },
  },
  LastEventId: {
    name: 'Last-Event-ID',
    in: 'header',
    description: 'The id of the last event seen: the stream goes on after it',
    schema: { type: 'string' },
  },
};

/** Finishes the document: headers said once, nothing unused, and answers that may grow by a field. */
export function finishDocument(document: unknown): unknown {
  const finished = structuredClone(document) as {
    paths: Record<string, Record<string, Json>>;
    components: Json;
  };
  for (const operation of Object.values(finished.paths).flatMap((item) => Object.values(item))) {
    const { headers, needsBody } = factsOf(String(operation.operationId));
    if (operation.requestBody !== undefined) (operation.requestBody as Json).required = needsBody;
    const refs = headers.map((name) => ({ $ref: `#/components/parameters/${name}` }));
    if (refs.length > 0)
      operation.parameters = [...((operation.parameters as Json[] | undefined) ?? []), ...refs];
    loosen(operation.responses);
    addExamples(operation);
  }
  const used = JSON.stringify(finished.paths);
  const schemas = Object.entries(finished.components.schemas as Json);
  const kept = schemas.filter(([name]) => used.includes(`"#/components/schemas/${name}"`));
  for (const [name, schema] of kept) if (!name.endsWith('Input')) loosen(schema);
  const components = {
    ...finished.components,
    schemas: Object.fromEntries(kept),
    parameters: headerParameters,
  };
  return { ...finished, components };
}

/** Puts the examples there are beside the schemas they are examples of. */
function addExamples({ operationId, requestBody, responses }: Json): void {
  const put = (part: unknown, type: string, example: unknown): void => {
    const media = (part as { content?: Json } | undefined)?.content?.[type];
    if (example !== undefined && media !== undefined) (media as Json).example = example;
  };
  const [status, answer] = answerExamples[String(operationId)] ?? [];
  put(requestBody, 'application/json', bodyExamples[String(operationId)]);
  put((responses as Json)[String(status)], 'application/json', answer);
  put((responses as Json)['4XX'], problemType, problemExample);
}

interface Facts {
  readonly headers: readonly (keyof typeof headerParameters)[];
  readonly needsBody: boolean;
}

/** What the framework does not tell the document: the headers an operation reads, and whether it needs its body. */
function factsOf(operationId: string): Facts {
  const route = routes.find(([, , , operation]) => operation.id === operationId);
  if (route === undefined) return { headers: [], needsBody: false };
  const [method, , access, operation] = route;
  return {
    headers: [
      ...(method !== 'GET' && access !== 'public' ? (['CsrfToken'] as const) : []),
      ...(method === 'POST' ? (['IdempotencyKey'] as const) : []),
      ...(operation.waits === true ? (['PreferWait'] as const) : []),
      ...(operation.resumes === true ? (['LastEventId'] as const) : []),
    ],
    needsBody: operation.body?.safeParse(undefined).success === false,
  };
}

/** Fields are only ever added: clients must not take today's for all there will be. */
function loosen(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return;
  if ('additionalProperties' in schema && schema.additionalProperties === false)
    delete schema.additionalProperties;
  for (const inner of Object.values(schema)) loosen(inner);
}

/** Collects every route mounted after this. */
export async function registerOpenapi(app: FastifyInstance, options: OpenapiOptions): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'MiniMCP',
        version: options.version,
        description:
          'Each person their own MCP server process, for a set time, behind one URL and one token. ' +
          'Errors are application/problem+json; docs/errors.md lists every code. POST takes Idempotency-Key; ' +
          'Prefer: wait=30 holds the answer until an instance is running or failed.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: options.publicUrl ?? '/' }],
      components: {
        securitySchemes: {
          apiToken: {
            type: 'http',
            scheme: 'bearer',
            description: 'An API token, mmt_…; never an access token',
          },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: cookieName,
            description: 'The cookie of POST /session; counts where there is no Authorization header',
          },
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
}
