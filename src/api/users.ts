// Users, for admins. Disabling one ends their instances and refuses their tokens from the next request on.
import {
  createUserSchema,
  dataOf,
  listOf,
  listQuerySchema,
  patchUserSchema,
  userSchema,
} from './contract.ts';
import { idParams, operation } from './operation.ts';
import { answerList, cursorOf, idKey, pageOf, readCursor } from './paging.ts';
import { userView } from './views.ts';

export const listUsers = operation({
  id: 'listUsers',
  summary: 'Users, in the order they were made',
  query: listQuerySchema,
  answers: { 200: listOf(userSchema) },
  async handle(call) {
    const { limit, cursor } = call.query;
    const rows = await call.api.accounts.listUsers(call.principal, {
      afterId: readCursor(cursor, idKey)?.[0] ?? null,
      limit: limit + 1,
    });
    return answerList(call, pageOf(rows, limit, { view: userView, cursor: (row) => cursorOf(row.id) }));
  },
});

export const getUser = operation({
  id: 'getUser',
  summary: 'One user',
  params: idParams,
  answers: { 200: dataOf(userSchema) },
  handle: async ({ api, params, principal }) => ({
    data: userView(await api.accounts.readUser(principal, params.id)),
  }),
});

export const createUser = operation({
  id: 'createUser',
  summary: 'Makes a user; POST /tokens with user_id gives them an API token',
  body: createUserSchema,
  answers: { 201: dataOf(userSchema) },
  async handle({ api, body, actor, reply }) {
    const user = await api.accounts.createUser(actor, body);
    reply.header('location', `/api/v1/users/${user.id}`);
    return { data: userView(user) };
  },
});

export const patchUser = operation({
  id: 'patchUser',
  summary: 'Changes a user; disabling ends their instances',
  params: idParams,
  body: patchUserSchema,
  answers: { 200: dataOf(userSchema) },
  handle: async ({ api, params, body, actor }) => ({
    data: userView(await api.accounts.patchUser(actor, params.id, body)),
  }),
});
