// Our types as a read-only MCP registry (/v0.1/servers), for clients that choose servers from one. Public, and open to
// pages of any origin: it says nothing about anybody.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { Fault } from '../base/errors.ts';
import { type RegistryEntry, registryEntries } from '../catalog/registry.ts';
import { type ApiContext, operation } from './operation.ts';
import { answerTagged, cursorOf, nameKey, readCursor } from './paging.ts';

const entrySchema = z
  .object({ server: z.looseObject({}), _meta: z.looseObject({}) })
  .meta({ id: 'RegistryEntry', description: 'A server.json, and what this registry knows about it' });
const listSchema = z.object({
  servers: z.array(entrySchema),
  metadata: z.object({ count: z.int(), nextCursor: z.string().optional() }),
});

const includeDeleted = { include_deleted: z.stringbool().optional() };
const querySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(30),
  cursor: z.string().max(500).optional(),
  search: z.string().max(200).optional(),
  updated_since: z.iso.datetime({ offset: true }).optional(),
  version: z.string().max(255).optional(),
  ...includeDeleted,
});
const serverParams = z.object({ server_name: z.string().min(1).max(255) });

export const listRegistry = operation({
  id: 'listRegistry',
  summary: 'The server types that are switched on, as an MCP registry lists them',
  query: querySchema,
  answers: { 200: listSchema },
  async handle(call) {
    const { query } = call;
    const search = query.search?.toLowerCase();
    const since = query.updated_since === undefined ? 0 : Date.parse(query.updated_since);
    const matching = (await entries(call.api)).filter(
      ({ server, updatedAt, isLatest }) =>
        (search === undefined || `${server.name}\n${server.title}`.toLowerCase().includes(search)) &&
        updatedAt.getTime() >= since &&
        (query.version === undefined ||
          (query.version === 'latest' ? isLatest : server.version === query.version)),
    );
    const after = readCursor(query.cursor, nameKey)?.[0];
    const from = after === undefined ? 0 : matching.findIndex((entry) => keyOf(entry) === after) + 1;
    const shown = matching.slice(from, from + query.limit);
    const last = shown.at(-1);
    const next =
      last !== undefined && from + query.limit < matching.length ? cursorOf(keyOf(last)) : undefined;
    return answerTagged(call, listOf(shown, next), 'no-cache');
  },
});

export const listRegistryVersions = operation({
  id: 'listRegistryVersions',
  summary: 'The versions there are of one server of the registry',
  params: serverParams,
  query: z.strictObject(includeDeleted),
  answers: { 200: listSchema },
  async handle(call) {
    return answerTagged(call, listOf(await versionsOf(call.api, call.params.server_name)), 'no-cache');
  },
});

export const getRegistryVersion = operation({
  id: 'getRegistryVersion',
  summary: 'One version of a server of the registry; "latest" is the newest',
  params: serverParams.extend({ version: z.string().min(1).max(255) }),
  query: z.strictObject(includeDeleted),
  answers: { 200: entrySchema },
  async handle(call) {
    const { server_name: name, version } = call.params;
    const found = (await versionsOf(call.api, name)).find(({ server, isLatest }) =>
      version === 'latest' ? isLatest : server.version === version,
    );
    if (found === undefined) throw new Fault('not_found', `there is no version "${version}" of "${name}"`);
    return answerTagged(call, view(found), 'no-cache');
  },
});

/** Lets pages of any origin read the registry, as clients that are pages in truth must. */
export function openRegistryToPages(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!/^\/v0\.1\/servers(?:[/?]|$)/.test(request.url)) return;
    reply
      .header('access-control-allow-origin', '*')
      .header('access-control-allow-methods', 'GET, OPTIONS')
      .header('access-control-allow-headers', 'Authorization, Content-Type')
      .header('access-control-expose-headers', 'ETag')
      .header('cross-origin-resource-policy', 'cross-origin');
    if (request.method === 'OPTIONS') await reply.code(204).send();
  });
}

async function entries(api: ApiContext): Promise<RegistryEntry[]> {
  return registryEntries(await api.catalog.list());
}

async function versionsOf(api: ApiContext, name: string): Promise<RegistryEntry[]> {
  const found = (await entries(api)).filter(({ server }) => server.name === name);
  if (found.length === 0) throw new Fault('not_found', `there is no server "${name}" in this registry`);
  return found;
}

function keyOf({ server }: RegistryEntry): string {
  return `${server.name}:${server.version}`;
}

function listOf(shown: readonly RegistryEntry[], nextCursor?: string) {
  const metadata = { count: shown.length, ...(nextCursor === undefined ? {} : { nextCursor }) };
  return { servers: shown.map(view), metadata };
}

/** Clients look for these facts under the name of the official registry. */
function view({ server, publishedAt, updatedAt, isLatest }: RegistryEntry) {
  const facts = {
    status: 'active',
    publishedAt: publishedAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
    isLatest,
  };
  return { server, _meta: { 'io.modelcontextprotocol.registry/official': facts } };
}
