// How the installation is, read again every few seconds while somebody looks: first whether anything is wrong, then the
// figures. It still says so when the database is gone, or the daemon itself.

import { Icon } from '../components/icons.tsx';
import { ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Section, Sheet } from '../components/sheet.tsx';
import { formatSpan } from '../format.ts';
import { useReading } from '../reading.ts';
import { Drain } from './health/drain.tsx';
import { Isolation } from './health/isolation.tsx';
import { Keyring } from './health/keyring.tsx';
import { Nodes } from './health/nodes.tsx';
import type { HealthReport } from './health/report.ts';
import { databaseTrouble, troublesOf } from './health/report.ts';

const everySeconds = 5;

export function HealthScreen() {
  const report = useReading<HealthReport>('/health', { everySeconds });
  const details = report.data?.details;
  // Not an error of this page: it is what the page is for.
  const isDatabaseAway = report.problem?.code === 'database_unavailable';
  const isGone = report.problem !== undefined;
  return (
    <>
      <PageHead title="Health" lead={`Read again every ${everySeconds} seconds.`}>
        {details && <Drain />}
      </PageHead>
      {isDatabaseAway && <Verdict troubles={[databaseTrouble]} />}
      {(!isDatabaseAway || report.data) && (
        <ReadingView
          reading={isDatabaseAway ? { ...report, problem: undefined } : report}
          what="The health of the daemon"
        >
          {(now) => (
            <>
              {isGone ? (
                <p class="hint said">What follows is what the daemon said last.</p>
              ) : (
                <Verdict troubles={troublesOf(now)} />
              )}
              <Figures report={now} />
              {now.details && (
                <>
                  <Isolation isolation={now.details.isolation} />
                  <Nodes nodes={now.details.nodes} />
                </>
              )}
            </>
          )}
        </ReadingView>
      )}
      {details && <Keyring keys={details.keys} />}
    </>
  );
}

/** In one line, for whoever looks at 3 a.m. */
function Verdict({ troubles }: { readonly troubles: readonly string[] }) {
  const isWell = troubles.length === 0;
  return (
    <div class={isWell ? 'notice well' : 'notice error'} role="status">
      <Icon name={isWell ? 'check' : 'warning'} />
      <div>
        <p class="notice-title">{isWell ? 'Everything is as it should be.' : 'Something is wrong.'}</p>
        {troubles.map((trouble) => (
          <p key={trouble}>{trouble}</p>
        ))}
      </div>
    </div>
  );
}

function Figures({ report }: { readonly report: HealthReport }) {
  const { database, details } = report;
  const away = <span class="bad">no answer</span>;
  const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  return (
    <Section title="Figures">
      <Sheet
        facts={[
          ['Database', database.latency_ms === null ? away : `answers in ${ms(database.latency_ms)}`],
          ['Version', report.version],
          ['Up for', formatSpan(report.uptime_s * 1_000)],
          ...(details
            ? ([
                [
                  'Queue of jobs',
                  details.queue
                    ? `${details.queue.depth} waiting, ${details.queue.active} at work${details.queue.depth > 0 ? `, the oldest ${formatSpan(details.queue.oldest_s * 1_000)}` : ''}`
                    : away,
                ],
                ['Logs to be stored', `${details.logs.lag_ms} ms behind, from ${details.logs.spools} spools`],
                ['Starts', `${details.admission.running} at work, ${details.admission.waiting} waiting`],
                [
                  'Event loop',
                  `${ms(details.event_loop.mean_ms)} late, ${ms(details.event_loop.p99_ms)} at most in 99 of 100`,
                ],
                [
                  'Database connections',
                  `${details.database_connections.total}, ${details.database_connections.idle} idle, ${details.database_connections.waiting} waited for`,
                ],
              ] as const)
            : []),
        ]}
      />
    </Section>
  );
}
