// The caller, and the caller's own API tokens. A token is shown in the answer that makes it and nowhere else.
import {
  apiTokenSchema,
  apiTokenWithSecretSchema,
  createTokenSchema,
  dataOf,
  listOf,
  listQuerySchema,
  meSchema,
} from './contract.ts';
import { idParams, operation } from './operation.ts';
import { answerList, cursorOf, idKey, pageOf, readCursor } from './paging.ts';
import { apiTokenView, userView } from './views.ts';

export const getMe = operation({
  id: 'getMe',
  summary: 'Who you are, and what the API token you show allows',
  answers: { 200: dataOf(meSchema) },
  async handle({ api, caller, principal }) {
    const user = userView(await api.accounts.readUser(principal, caller.userId));
    const quota = user.max_instances ?? (await api.settings.get('mcp.max_instances_per_user'));
    return {
      data: {
        ...user,
        effective_max_instances: quota,
        token: {
          id: caller.tokenId,
          scopes: [...caller.scopes],
          acts_as_admin: caller.actsAsAdmin,
          expires_at: caller.expiresAt?.toISOString() ?? null,
        },
      },
    };
  },
});

export const listApiTokens = operation({
  id: 'listApiTokens',
  summary: 'Your API tokens, without the tokens',
  query: listQuerySchema,
  answers: { 200: listOf(apiTokenSchema) },
  async handle(call) {
    const { limit, cursor } = call.query;
    const rows = await call.api.accounts.listTokens(call.principal, {
      userId: call.caller.userId,
      afterId: readCursor(cursor, idKey)?.[0] ?? null,
      limit: limit + 1,
    });
    return answerList(call, pageOf(rows, limit, { view: apiTokenView, cursor: (row) => cursorOf(row.id) }));
  },
});

export const createApiToken = operation({
  id: 'createApiToken',
  summary:
    'Makes an API token; it can do no more than the one that asks. Admins may make one for another user',
  body: createTokenSchema,
  answers: { 201: dataOf(apiTokenWithSecretSchema) },
  async handle({ api, body, caller, actor }) {
    const { token, apiToken } = await api.accounts.createToken(caller, actor, body);
    return { data: { ...apiTokenView(token), api_token: apiToken } };
  },
});

export const revokeApiToken = operation({
  id: 'revokeApiToken',
  summary: "Revokes one of your API tokens; admins anyone's",
  params: idParams,
  answers: { 204: null },
  handle: ({ api, params, actor }) => api.accounts.revokeToken(actor, params.id),
});
