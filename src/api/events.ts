// The audit trail of the whole installation, for admins.
import { z } from 'zod';
import { fieldFault } from '../base/errors.ts';
import { listEvents } from '../db/queries/event-views.ts';
import { eventSchema, listOf, listQuerySchema } from './contract.ts';
import { operation } from './operation.ts';
import { answerList, cursorOf, pageOf, readCursor, timeKey } from './paging.ts';
import { eventView } from './views.ts';

const time = z.iso.datetime({ offset: true });

export const listAllEvents = operation({
  id: 'listEvents',
  summary: 'What happened, newest first',
  query: listQuerySchema.extend({
    event_type: z.string().max(50).optional(),
    user_id: z.uuid().optional(),
    instance_id: z.uuid().optional(),
    since: time.optional(),
    until: time.optional(),
  }),
  answers: { 200: listOf(eventSchema) },
  async handle(call) {
    const { limit, cursor, since, until } = call.query;
    const key = readCursor(cursor, timeKey);
    refuseEmptySpan(since, until);
    const rows = await call.api.db.as(call.principal, (tx) =>
      listEvents(tx, {
        viewerId: call.viewerId,
        instanceId: call.query.instance_id,
        userId: call.query.user_id,
        type: call.query.event_type,
        since: since === undefined ? undefined : new Date(since),
        until: until === undefined ? undefined : new Date(until),
        after: key === null ? null : { sortKey: key[0], id: key[1] },
        limit: limit + 1,
      }),
    );
    return answerList(
      call,
      pageOf(rows, limit, { view: eventView, cursor: (row) => cursorOf(row.sort_key, row.id) }),
    );
  },
});

/** Throws invalid_field for a span of time that ends before it begins. */
export function refuseEmptySpan(since: string | undefined, until: string | undefined): void {
  if (since === undefined || until === undefined || new Date(since) <= new Date(until)) return;
  throw fieldFault('invalid_field', '/query/until', 'until must not be before since');
}
