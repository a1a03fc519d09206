// The tools of a running instance, seen and tried through the API: for looking, not for working; clients have its URL. A
// call is activity, is bounded to a minute, and leaves an event that names the tool and never its arguments.
import { z } from 'zod';
import { callToolSchema, dataOf, listOf, toolResultSchema, toolSchema } from './contract.ts';
import { idParams, operation } from './operation.ts';
import { answerList } from './paging.ts';

/** With the first who asks: the SDK's client is a good part of the daemon's memory. */
const visitor = () => import('./visitor.ts');

export const listTools = operation({
  id: 'listInstanceTools',
  summary: 'The tools of a running instance, as its server names them; 1000 at most',
  params: idParams,
  answers: { 200: listOf(toolSchema) },
  async handle(call) {
    const { listToolsOf } = await visitor();
    const visit = await call.api.manager.visit(call.actor, call.params.id);
    try {
      const tools = await listToolsOf(visit, call.signal);
      const data = tools.map(({ name, title, description, inputSchema, annotations }) => ({
        name,
        ...(title === undefined ? {} : { title }),
        ...(description === undefined ? {} : { description }),
        input_schema: inputSchema,
        ...(annotations === undefined ? {} : { annotations }),
      }));
      return answerList(call, { data, nextCursor: null });
    } finally {
      await visit.leave();
    }
  },
});

export const callTool = operation({
  id: 'callInstanceTool',
  summary: 'Tries a tool of a running instance, within a minute; that it fails is its result: is_error',
  params: idParams.extend({ name: z.string().min(1).max(200) }),
  body: callToolSchema.nullish(),
  answers: { 200: dataOf(toolResultSchema) },
  async handle(call) {
    const { id, name } = call.params;
    const { callToolOf } = await visitor();
    const visit = await call.api.manager.visit(call.actor, id, name);
    try {
      return { data: await callToolOf(visit, { name, arguments: call.body?.arguments ?? {} }, call.signal) };
    } finally {
      await visit.leave();
    }
  },
});
