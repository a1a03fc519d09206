// Server types: what can be asked for. Users see those that are switched on; admins see all, add and change them.
import { Fault } from '../base/errors.ts';
import type { ServerType } from '../domain/server-type.ts';
import {
  createTypeQuerySchema,
  createTypeSchema,
  dataOf,
  listOf,
  listQuerySchema,
  type McpTypeView,
  mcpTypeSchema,
  patchTypeSchema,
} from './contract.ts';
import type { ApiContext, Call } from './operation.ts';
import { nameParams, nothing, operation } from './operation.ts';
import { answerList, pageWithin } from './paging.ts';
import { waitSecondsOf } from './prefer.ts';
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
  summary:
    'Installs a server type from npm or a server.json and adds it switched off; its server is tried once',
  query: createTypeQuerySchema,
  body: createTypeSchema,
  bodyBytesMax: documentBytesMax,
  answers: { 201: dataOf(mcpTypeSchema) },
  waits: true,
  async handle(call) {
    const { api, body, query, actor, reply } = call;
    const isUnseen = query.enable === true;
    if (isUnseen && !isDocument(body)) {
      const message = 'only a server.json by itself can be switched on unseen';
      throw new Fault('invalid_field', message, { errors: [{ pointer: '/query/enable', message }] });
    }
    const type = isUnseen
      ? await api.catalog.add(body, actor)
      : await api.catalog.addFromOutside(isDocument(body) ? { document: body } : body, actor);
    reply.header('location', `/api/v1/mcp-types/${encodeURIComponent(type.name)}`);
    if (!isUnseen) await waitUntilTried(call, type.name);
    return { data: await view(api, (await api.catalog.get(type.name)) ?? type) };
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

export const tryType = operation({
  id: 'tryType',
  summary: 'Starts the server of a type once more, to see what it is',
  params: nameParams,
  body: nothing,
  answers: { 202: dataOf(mcpTypeSchema) },
  waits: true,
  async handle(call) {
    const { api, params, actor } = call;
    await requireType(api, params.name, true);
    const type = await api.catalog.retry(params.name, actor);
    await waitUntilTried(call, params.name);
    return { data: await view(api, (await api.catalog.get(params.name)) ?? type) };
  },
});

export const removeType = operation({
  id: 'removeType',
  summary: 'Removes a server type that an admin added and nobody has used',
  params: nameParams,
  answers: { 204: null },
  async handle({ api, params, actor, reply }) {
    await requireType(api, params.name, true);
    await api.catalog.remove(params.name, actor);
    return reply.code(204).send();
  },
});

type DocumentBody = { name: string; packages: unknown[] };

function isDocument(body: object): body is DocumentBody {
  return 'packages' in body;
}

/** Holds the answer as the caller prefers, until the trial is over. */
async function waitUntilTried(call: Call<unknown, unknown, unknown>, name: string): Promise<void> {
  const seconds = waitSecondsOf(call.request.headers.prefer);
  if (seconds === 0) return;
  call.reply.header('preference-applied', `wait=${seconds}`);
  await call.api.catalog.tried(name, AbortSignal.any([call.signal, AbortSignal.timeout(seconds * 1_000)]));
}
