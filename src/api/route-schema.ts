// The schemas of a route as the framework and the OpenAPI document want them. Pure.
import { z } from 'zod';
import type { Access } from './auth.ts';
import { problemSchema } from './contract.ts';
import type { Answer } from './operation.ts';
import { problemType } from './problems.ts';
import type { Route } from './routes.ts';

const nothingMore = z.strictObject({});

/** What a request is checked with, and what its answers look like. */
export function schemaOf([, url, access, operation]: Route): Record<string, unknown> {
  const response: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(operation.answers)) response[status] = responseOf(answer);
  const problem = { content: { [problemType]: { schema: problemSchema } } };
  response['4xx'] = { description: 'Refused', ...problem };
  response['5xx'] = { description: 'Failed, or not now', ...problem };
  return {
    operationId: operation.id,
    summary: operation.summary,
    tags: [tagOf(url)],
    querystring: operation.query ?? nothingMore,
    response,
    ...(operation.params === undefined ? {} : { params: operation.params }),
    ...(operation.body === undefined ? {} : { body: operation.body }),
    security: securityOf(access),
  };
}

function securityOf(access: Access): Record<string, string[]>[] {
  if (access === 'public') return [];
  if (access === 'session') return [{ session: [] }];
  const scopes = access === 'anyone' ? [] : [access];
  return [{ apiToken: scopes }, { session: scopes }];
}

function responseOf(answer: Answer): unknown {
  if (answer === null) return z.undefined().meta({ description: 'Done; there is nothing to say' });
  if (answer instanceof z.ZodType)
    return { description: 'Done', content: { 'application/json': { schema: answer } } };
  return { description: answer.description, content: { [answer.contentType]: { schema: z.string() } } };
}

function tagOf(url: string): string {
  return /^\/api\/v1\/([a-z-]+)(?:\/|$)/.exec(url)?.[1] ?? 'operation';
}
