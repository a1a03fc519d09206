// What instances used over time: one in detail, or the recent course of all that are at work, for a list to draw beside
// each.
import { z } from 'zod';
import { listUsage, readUsage } from '../db/queries/usage.ts';
import { listOf, usageCourseSchema, usageSampleSchema } from './contract.ts';
import { refuseEmptySpan } from './events.ts';
import { requireInstance } from './instances.ts';
import { idParams, operation } from './operation.ts';
import { answerList } from './paging.ts';

const time = z.iso.datetime({ offset: true });
/** Samples in the course of one instance, and instances in one answer. */
const courseSamples = 30;
const coursesMax = 500;

export const getUsage = operation({
  id: 'getInstanceUsage',
  summary:
    'What an instance used over time, a day unless said otherwise: means of spans of at least a minute',
  params: idParams,
  query: z.strictObject({
    since: time.optional(),
    until: time.optional(),
    points: z.coerce.number().int().min(1).max(2_000).default(300),
  }),
  answers: { 200: listOf(usageSampleSchema) },
  async handle(call) {
    const { since, until, points } = call.query;
    refuseEmptySpan(since, until);
    const { id } = call.params;
    const { server_time: now } = await requireInstance(call, id);
    const span = {
      ...{ instanceId: id, points },
      since: since === undefined ? null : new Date(since),
      until: until === undefined ? null : new Date(until),
    };
    const rows = await call.api.db.as(call.principal, (tx) => readUsage(tx, span));
    const data = rows.map((row) => ({ ...row, at: row.at.toISOString() }));
    return answerList(call, { data, nextCursor: null }, now.toISOString());
  },
});

export const listAllUsage = operation({
  id: 'listUsage',
  summary: 'The last 30 samples of every instance at work (500 at most), a minute apart, as columns',
  answers: { 200: listOf(usageCourseSchema) },
  async handle(call) {
    const wish = { viewerId: call.viewerId, samples: courseSamples, limit: coursesMax };
    const data = await call.api.db.as(call.principal, (tx) => listUsage(tx, wish));
    return answerList(call, { data, nextCursor: null });
  },
});
