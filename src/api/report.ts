// GET /health: how the installation is, for the dashboard. Everything that asks the database is given a moment and then
// left out: a database that hangs is told of within two seconds. What there is beyond that is for admins.
import { nowMs } from '../base/clock.ts';
import { dataOf, type ReportDetails, reportSchema } from './contract.ts';
import { type ApiContext, operation } from './operation.ts';
import { momentMs } from './vitals.ts';

export const getHealth = operation({
  id: 'getHealth',
  summary: 'How the installation is, within two seconds whatever hangs; admins are told the details',
  withinMs: momentMs,
  answers: { 200: dataOf(reportSchema) },
  async handle({ api, caller }) {
    const stored = await api.stored();
    const { latencyMs } = stored;
    return {
      data: {
        ready: latencyMs !== null,
        version: api.node.version,
        uptime_s: Math.floor(process.uptime()),
        server_time: new Date(nowMs()).toISOString(),
        database: { ok: latencyMs !== null, latency_ms: latencyMs },
        details: caller.actsAsAdmin ? { ...stored.details, ...detailsOf(api) } : null,
      },
    };
  },
});

function detailsOf({ inside, logFigures, db, loopLag }: ApiContext): Omit<ReportDetails, 'queue' | 'nodes'> {
  const { logProblem, keyProblem, ...rest } = inside();
  const { spools, lagMs } = logFigures();
  return {
    ...rest,
    logs: { spools, lag_ms: Math.round(lagMs), problem: logProblem },
    keys: { ok: keyProblem === null, problem: keyProblem },
    event_loop: loopLag(),
    database_connections: db.stats(),
  };
}
