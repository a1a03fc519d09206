// `status`: whether the installation is well, at a glance, and what it holds. The daemon answers within two seconds
// whatever hangs behind it, and then says what. Exit code 1 when nothing new can be done.
import type { Command } from 'commander';
import type { ReportDetails, ReportView, SummaryView } from '../../api/contract.ts';
import { type Context, declare, type Surroundings } from '../context.ts';
import { formatSpan } from '../durations.ts';
import { exitCodes } from '../exit-code.ts';
import { oneLine, pairs } from '../output.ts';

type Line = readonly [name: string, value: string | null];

export function addStatus(program: Command, surroundings: Surroundings): void {
  declare(program, surroundings, {
    usage: 'status',
    summary: 'whether all is well: database, queue, logs, isolation, instances',
    handler: async (context) => {
      const report = await context.api.one<ReportView>('GET', '/health');
      // Its counts are the database's; without it there are none to show.
      const summary = report.database.ok ? await context.api.one<SummaryView>('GET', '/summary') : null;
      return {
        document: { ...report, summary },
        text: statusText(report, summary, context),
        exitCode: report.ready ? exitCodes.done : exitCodes.failed,
      };
    },
  });
}

function statusText(report: ReportView, summary: SummaryView | null, { paint }: Context): string {
  const { database, details, version, uptime_s: uptimeS } = report;
  const head = report.ready
    ? paint('green', 'Everything new can be done.')
    : paint('red', 'Nothing new can be done; what runs goes on.');
  const lines: Line[] = [
    ['daemon', `${version}, up for ${formatSpan(uptimeS * 1_000)}`],
    ['database', database.ok ? `answers in ${database.latency_ms ?? 0} ms` : 'does not answer'],
    ...(details === null ? [] : detailLines(details)),
    ...(summary === null ? [] : summaryLines(summary)),
  ];
  return `${head}\n\n${pairs(lines, paint)}`;
}

function detailLines({ queue, logs, keys, isolation, admission, event_loop: loop }: ReportDetails): Line[] {
  const missing = isolation.missing.map(({ level, reason }) => `${level}: ${oneLine(reason)}`).join('; ');
  return [
    ['queue', queue && `${queue.depth} waiting, ${queue.active} at work, the oldest for ${queue.oldest_s} s`],
    ['logs', logs.problem ?? `${logs.lag_ms} ms behind, from ${logs.spools} spools`],
    ['keys', keys.problem ?? 'open'],
    ['isolation', missing === '' ? isolation.level : `${isolation.level} (${missing})`],
    ['starts', `${admission.running} at work, ${admission.waiting} waiting`],
    ['event loop', `${loop.mean_ms.toFixed(1)} ms late, ${loop.p99_ms.toFixed(1)} ms at most in 99 of 100`],
  ];
}

function summaryLines({ instances, leases_ending_within_hour: ending, ports }: SummaryView): Line[] {
  const counts = Object.entries(instances).filter(([, count]) => count > 0);
  return [
    ['instances', counts.map(([status, count]) => `${count} ${status}`).join(', ') || 'none'],
    ['leases', `${ending} end within the hour`],
    ['ports', ports && `${ports.free} free, ${ports.held} held, ${ports.quarantined} quarantined`],
  ];
}
