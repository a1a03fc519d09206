// Start reading here: every tool of the control endpoint. Each is an operation of routes.ts, which alone says the scope it
// needs; its inputs are the contract's. What is bounded in REST is bounded tighter here: it is read by a model.
import { z } from 'zod';
import {
  createInstanceSchema,
  durationSchema,
  instanceQuerySchema,
  instanceSchema,
  instanceWithTokenSchema,
  listOf,
  listQuerySchema,
  logLineSchema,
  logQuerySchema,
  mcpTypeSchema,
  optionalDurationSchema,
} from '../contract.ts';
import {
  extendInstance,
  newAccessToken,
  renewInstance,
  restoreInstance,
  stopInstance,
} from '../instance-actions.ts';
import { createInstance, getInstance, listInstances, removeInstance } from '../instances.ts';
import { listLogs } from '../logs.ts';
import { listTypes } from '../types.ts';
import {
  accessText,
  instancesText,
  instanceText,
  linesText,
  removalText,
  shortened,
  typesText,
} from './texts.ts';
import { type Tool, tool } from './tool.ts';

const id = z.uuid().meta({ description: 'The id of the instance' });
const waitSeconds = z.int().min(0).max(60).default(30).meta({
  description: 'How long to wait for the instance to run or to be at rest; the answer says its status',
});
const paging = {
  limit: z.int().min(1).max(50).default(20),
  cursor: listQuerySchema.shape.cursor.meta({ description: 'next_cursor of the page before' }),
};
const instance = z.object(instanceSchema.shape);
const instanceWithToken = z.object(instanceWithTokenSchema.shape);
const waiting = z.strictObject({ id, wait_seconds: waitSeconds });
const whole = (answer: unknown) => answer as never;

export const tools: readonly Tool[] = [
  tool('list_types', {
    title: 'List server types',
    description:
      'Lists the kinds of MCP server that can be asked for, with the inputs and API key each needs.',
    operation: listTypes,
    hints: ['readOnly', 'idempotent'],
    input: z.strictObject(paging),
    output: listOf(mcpTypeSchema),
    request: (query) => ({ query }),
    result: whole,
    text: typesText,
  }),
  tool('ask_for_instance', {
    title: 'Ask for an MCP server',
    description:
      'Starts an MCP server of a type for the caller alone, for a set time, and waits until it runs. The result has ' +
      'access_url and access_token: connect to the URL with Streamable HTTP and "Authorization: Bearer <token>". The ' +
      'token is shown only here. When the status is still pending, call get_instance.',
    operation: createInstance,
    input: z.strictObject({ ...createInstanceSchema.shape, wait_seconds: waitSeconds }),
    output: instanceWithToken,
    request: ({ wait_seconds, ...body }) => ({ body, waitSeconds: wait_seconds }),
    text: accessText,
  }),
  tool('list_instances', {
    title: 'List instances',
    description: 'Lists instances, newest first; those whose lease is over only with include_ended.',
    operation: listInstances,
    hints: ['readOnly', 'idempotent'],
    input: z.strictObject({
      status: instanceQuerySchema.shape.status,
      mcp_type: instanceQuerySchema.shape.mcp_type,
      include_ended: z.boolean().optional(),
      ...paging,
    }),
    output: listOf(instanceSchema),
    request: ({ include_ended, ...query }) => ({
      query: include_ended === undefined ? query : { ...query, include_ended: String(include_ended) },
    }),
    result: whole,
    text: instancesText,
  }),
  tool('get_instance', {
    title: 'Look at an instance',
    description: 'Says how an instance is: status, why it stopped, when its lease ends.',
    operation: getInstance,
    hints: ['readOnly', 'idempotent'],
    input: z.strictObject({ id }),
    output: instance,
    request: (params) => ({ params }),
    text: instanceText,
  }),
  tool('extend_instance', {
    title: 'Extend a lease',
    description: 'Moves the end of the lease: counted from now, never earlier than it was, capped.',
    operation: extendInstance,
    input: z.strictObject({ id, ...durationSchema.shape }),
    output: instance,
    request: ({ id, ...body }) => ({ params: { id }, body }),
    text: instanceText,
  }),
  tool('stop_instance', {
    title: 'Stop an instance',
    description:
      'Ends the processes of an instance and keeps its lease and URL; restore_instance starts it again.',
    operation: stopInstance,
    hints: ['destructive', 'idempotent'],
    input: waiting,
    output: instance,
    request: ({ id, wait_seconds }) => ({ params: { id }, body: {}, waitSeconds: wait_seconds }),
    text: instanceText,
  }),
  tool('restore_instance', {
    title: 'Start an instance again',
    description: 'Starts an instance that is stopped or failed, within its lease, on the same URL and token.',
    operation: restoreInstance,
    input: waiting,
    output: instance,
    request: ({ id, wait_seconds }) => ({ params: { id }, body: {}, waitSeconds: wait_seconds }),
    text: instanceText,
  }),
  tool('renew_instance', {
    title: 'Renew a lease that is over',
    description: 'Gives an expired instance a new lease and starts it on the same URL. Its files are gone.',
    operation: renewInstance,
    input: waiting.extend(optionalDurationSchema.shape),
    output: instance,
    request: ({ id, wait_seconds, ...body }) => ({ params: { id }, body, waitSeconds: wait_seconds }),
    text: instanceText,
  }),
  tool('new_access_token', {
    title: 'Make a new access token',
    description:
      'Makes a new access token for an instance, when it was lost. The old one stops working at once.',
    operation: newAccessToken,
    hints: ['destructive'],
    input: z.strictObject({ id }),
    output: instanceWithToken,
    request: (params) => ({ params, body: {} }),
    text: accessText,
  }),
  tool('remove_instance', {
    title: 'Remove an instance',
    description: 'Ends an instance and removes it with its files, for good.',
    operation: removeInstance,
    hints: ['destructive', 'idempotent'],
    input: waiting,
    output: z.object({
      id: z.uuid(),
      removed: z.boolean().meta({ description: 'false: it is still ending' }),
    }),
    request: ({ id, wait_seconds }) => ({ params: { id }, waitSeconds: wait_seconds }),
    result: (answer, input) => ({ id: input.id, removed: answer === undefined }),
    text: removalText,
  }),
  tool('read_logs', {
    title: 'Read logs',
    description: 'The last log lines of an instance, newest first; long lines are cut.',
    operation: listLogs,
    hints: ['readOnly', 'idempotent'],
    input: z.strictObject({
      id,
      level: logQuerySchema.shape.level,
      since: logQuerySchema.shape.since,
      q: logQuerySchema.shape.q,
      limit: z.int().min(1).max(500).default(100),
      cursor: paging.cursor,
    }),
    output: listOf(logLineSchema.omit({ metadata: true })),
    request: ({ id, ...query }) => ({ params: { id }, query }),
    result: shortened,
    text: linesText,
  }),
];
