// The OpenAPI 3.1 document, made from the same schemas the requests are checked with.
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';

export interface OpenapiOptions {
  readonly version: string;
  readonly publicUrl: string | undefined;
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
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
}
