// The head of the dashboard: how many instances there are of each status, whose time is nearly over, and for admins how
// full the pool of ports is.
import { countPorts } from '../db/queries/port-views.ts';
import { summarize } from '../db/queries/summary.ts';
import { statuses } from '../domain/instance.ts';
import { dataOf, summarySchema } from './contract.ts';
import { operation } from './operation.ts';

export const getSummary = operation({
  id: 'getSummary',
  summary:
    "Counts: your instances by status, leases ending within the hour; for admins everyone's, and ports",
  answers: { 200: dataOf(summarySchema) },
  async handle({ api, caller, principal, viewerId }) {
    const { counts, ports } = await api.db.as(principal, async (tx) => ({
      counts: await summarize(tx, viewerId),
      ports: caller.actsAsAdmin ? await countPorts(tx) : null,
    }));
    const portsIn = (wanted: string): number =>
      (ports ?? []).filter(({ state }) => state === wanted).reduce((sum, { count }) => sum + count, 0);
    return {
      data: {
        instances: Object.fromEntries(statuses.map((status) => [status, counts.instances[status] ?? 0])),
        leases_ending_within_hour: counts.leases_ending_within_hour,
        ports:
          ports === null
            ? null
            : { free: portsIn('free'), held: portsIn('held'), quarantined: portsIn('quarantined') },
        server_time: counts.server_time.toISOString(),
      },
    };
  },
});
