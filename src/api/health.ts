// Outside authentication: whether the process lives, whether it can do its work, and the OpenAPI document. And metrics,
// which need a token, because they count what everybody does.

import { z } from 'zod';
import { healthSchema } from './contract.ts';
import { operation } from './operation.ts';

export const alive = operation({
  id: 'healthz',
  summary: 'The process answers; nothing else is said',
  answers: { 200: z.object({ status: z.literal('ok') }) },
  handle: () => ({ status: 'ok' }),
});

export const ready = operation({
  id: 'readyz',
  summary: 'Whether new work can be done, and each check behind that',
  answers: { 200: healthSchema, 503: healthSchema },
  async handle({ api, reply }) {
    const health = await api.health();
    if (!health.ready) reply.code(503).header('retry-after', '5');
    return { ready: health.ready, checks: { ...health.checks } };
  },
});

export const openapi = operation({
  id: 'openapi',
  summary: 'This document',
  answers: { 200: { contentType: 'application/json', description: 'OpenAPI 3.1' } },
  handle({ api, reply }) {
    reply.type('application/json');
    return JSON.stringify(api.openapi());
  },
});

export const metrics = operation({
  id: 'metrics',
  summary: 'Figures in the Prometheus text format',
  answers: { 200: { contentType: 'text/plain', description: 'Prometheus text format' } },
  async handle({ api, reply }) {
    const text = await api.registry.metrics();
    reply.type(api.registry.contentType);
    return text;
  },
});
