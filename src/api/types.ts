// Server types: what can be asked for. Users see those that are switched on; admins see all, add and change them.
import { Fault } from '../base/errors.ts';
import type { ServerType } from '../domain/server-type.ts';
import {
  createTypeSchema,
  dataOf,
  listOf,
  listQuerySchema,
  type McpTypeView,
  mcpTypeSchema,
  patchTypeSchema,
} from './contract.ts';
import type { ApiContext } from './operation.ts';
import { nameParams, operation } from './operation.ts';
import { answerList, pageWithin } from './paging.ts';
import { typeView } from './views.ts';

/** A document of the registry format may be long: schemas, descriptions, icons. */
const documentBytesMax = 256 * 1_024;

async function view(api: ApiContext, type: ServerType): Promise<McpTypeView> {
  return typeView(type, await api.catalog.available(type));
}

/** A type the caller may know of; not_found otherwise. */
export async function requireType(api: ApiContext, name: string, seesAll: boolean): Promise<ServerType> {
  const type = await api.catalog.get(name);
  if (type === undefined || !(type.is_active || seesAll)) {
    throw new Fault('not_found', `there is no server type "${name}"`);
  }
  return type;
}

export const listTypes = operation({
  id: 'listTypes',
  summary: 'Server types that can be asked for',
  query: listQuerySchema,
  answers: { 200: listOf(mcpTypeSchema) },
  async handle(call) {
    const types = (await call.api.catalog.list()).filter((type) => type.is_active || call.viewerId === null);
    const page = pageWithin(types, call.query, { view: (type) => type, name: (type) => type.name });
    const data = await Promise.all(page.data.map((type) => view(call.api, type)));
    return answerList(call, { ...page, data });
  },
});

export const getType = operation({
  id: 'getType',
  summary: 'One server type',
  params: nameParams,
  answers: { 200: dataOf(mcpTypeSchema) },
  handle: async ({ api, params, viewerId }) => ({
    data: await view(api, await requireType(api, params.name, viewerId === null)),
  }),
});

export const createType = operation({
  id: 'createType',
  summary: 'Adds a server type from a document of the registry format',
  body: createTypeSchema,
  bodyBytesMax: documentBytesMax,
  answers: { 201: dataOf(mcpTypeSchema) },
  async handle({ api, body, actor, reply }) {
    const type = await api.catalog.add(body, actor);
    reply.header('location', `/api/v1/mcp-types/${encodeURIComponent(type.name)}`);
    return { data: await view(api, type) };
  },
});

export const patchType = operation({
  id: 'patchType',
  summary: 'Changes a server type, or switches it on or off',
  params: nameParams,
  body: patchTypeSchema,
  answers: { 200: dataOf(mcpTypeSchema) },
  async handle({ api, params, body, actor }) {
    await requireType(api, params.name, true);
    return { data: await view(api, await api.catalog.patch(params.name, body, actor)) };
  },
});
