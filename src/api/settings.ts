// System settings, for admins: read as they are, changed one at a time, each change an event.
import { z } from 'zod';
import { dataOf, listOf, listQuerySchema, settingSchema } from './contract.ts';
import { operation } from './operation.ts';
import { answerList, pageWithin } from './paging.ts';
import { settingView } from './views.ts';

export const listSettings = operation({
  id: 'listSettings',
  summary: 'Every setting and its value',
  query: listQuerySchema,
  answers: { 200: listOf(settingSchema) },
  async handle(call) {
    const rows = await call.api.settings.all();
    return answerList(call, pageWithin(rows, call.query, { view: settingView, name: (row) => row.key }));
  },
});

export const putSetting = operation({
  id: 'putSetting',
  summary: 'Changes a setting; it is in force within a second',
  params: z.object({ key: z.string().min(1).max(100) }),
  body: z.strictObject({ value: z.unknown() }),
  answers: { 200: dataOf(settingSchema) },
  handle: async ({ api, params, body, actor }) => ({
    data: settingView(await api.settings.set(params.key, body.value, actor)),
  }),
});
