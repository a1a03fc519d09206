// What an instance uses: now, in figures; over its life, drawn, and told in a table for who does not see the drawing.
import type { InstanceView, StatsView } from '../../../api/contract.ts';
import { serverNowMs } from '../../clock.ts';
import { EmptyState, ReadingView } from '../../components/notices.tsx';
import { Ago } from '../../components/time.tsx';
import { formatBytes, formatPercent } from '../../format.ts';
import { useReading } from '../../reading.ts';
import { place, setQuery } from '../../router.ts';
import { courseOf, type Digest, digestOf, type Span, type UsageSample } from './course.ts';
import { Plot } from './plot.tsx';

/** The daemon measures once a minute. */
const readSeconds = 30;
const pointsMax = 600;

const spans = [
  ['', 'Its whole life'],
  ['24', 'A day'],
  ['1', 'An hour'],
] as const;

export function Usage({ instance }: { readonly instance: InstanceView }) {
  const hours = Number(place.value.query.span) || undefined;
  const bornMs = Date.parse(instance.created_at);
  const sinceMs = hours === undefined ? bornMs : Math.max(bornMs, serverNowMs() - hours * 3_600_000);
  const path = `/instances/${instance.id}`;
  const stats = useReading<StatsView>(`${path}/stats`, { everySeconds: 15, topics: ['instances'] });
  const usage = useReading<readonly UsageSample[]>(`${path}/usage`, {
    // By the hour, so that the passing of time alone asks for nothing new.
    query: { since: new Date(Math.floor(sinceMs / 3_600_000) * 3_600_000).toISOString(), points: pointsMax },
    everySeconds: readSeconds,
  });
  return (
    <div class="usage">
      <ReadingView reading={stats} what="What it uses now">
        {(now) => <Now stats={now} />}
      </ReadingView>
      <fieldset class="chips plain">
        <legend class="spoken">Span of time</legend>
        {spans.map(([id, label]) => (
          <button
            key={id}
            type="button"
            class="chip"
            aria-pressed={(place.value.query.span ?? '') === id}
            onClick={() => setQuery({ span: id }, { replace: true })}
          >
            {label}
          </button>
        ))}
      </fieldset>
      <ReadingView reading={usage} what="What it used">
        {(samples) => (
          <Course samples={samples} sinceMs={sinceMs} isRunning={instance.status === 'running'} />
        )}
      </ReadingView>
    </div>
  );
}

function Now({ stats }: { readonly stats: StatsView }) {
  const known = (value: number | null, format: (value: number) => string): string =>
    value === null ? '–' : format(value);
  const figures: readonly (readonly [string, string | number])[] = [
    ['CPU', known(stats.cpu_percent, formatPercent)],
    ['Memory', known(stats.memory_bytes, formatBytes)],
    ['Processes', stats.processes ?? '–'],
    ['Calls', stats.requests.toLocaleString()],
    ['In flight', stats.in_flight],
    ['Sessions', stats.sessions],
    ['Shim’s memory', known(stats.shim_memory_bytes, formatBytes)],
  ];
  return (
    <dl class="facts">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
      <div>
        <dt>Measured</dt>
        <dd>
          <Ago time={stats.checked_at} never="not yet" />
        </dd>
      </div>
    </dl>
  );
}

interface CourseProps {
  readonly samples: readonly UsageSample[];
  readonly sinceMs: number;
  readonly isRunning: boolean;
}

function Course({ samples, sinceMs, isRunning }: CourseProps) {
  const { at, cpu, memory } = courseOf(samples, sinceMs);
  const cpuDigest = digestOf(cpu);
  const memoryDigest = digestOf(memory);
  // What rests does not stretch its course to now.
  const span: Span = {
    from: sinceMs / 1_000,
    to: isRunning ? serverNowMs() / 1_000 : (at.at(-1) ?? sinceMs / 1_000),
  };
  if (cpuDigest === undefined && memoryDigest === undefined) {
    return (
      <EmptyState title="Nothing was measured in this time.">
        <p>
          {isRunning
            ? 'A measurement is taken every minute: the first appears by itself.'
            : 'It is measured every minute while it runs. Start it, or choose a longer span.'}
        </p>
      </EmptyState>
    );
  }
  return (
    <>
      <Plot title="CPU" at={at} values={cpu} span={span} format={formatPercent} topMin={10} />
      <Plot title="Memory" at={at} values={memory} span={span} format={formatBytes} topMin={32_000_000} />
      <table class="table digest">
        <caption class="spoken">What was drawn, in figures</caption>
        <thead>
          <tr>
            <th scope="col">Over this span</th>
            <th scope="col">Least</th>
            <th scope="col">Median</th>
            <th scope="col">Most</th>
            <th scope="col">Newest</th>
          </tr>
        </thead>
        <tbody>
          <DigestRow name="CPU" digest={cpuDigest} format={formatPercent} />
          <DigestRow name="Memory" digest={memoryDigest} format={formatBytes} />
        </tbody>
      </table>
    </>
  );
}

interface DigestRowProps {
  readonly name: string;
  readonly digest: Digest | undefined;
  readonly format: (value: number) => string;
}

const digestColumns = [
  ['min', 'Least'],
  ['median', 'Median'],
  ['max', 'Most'],
  ['newest', 'Newest'],
] as const;

function DigestRow({ name, digest, format }: DigestRowProps) {
  return (
    <tr>
      <th scope="row" class="title">
        {name}
      </th>
      {digestColumns.map(([id, label]) => (
        <td key={id} data-label={label}>
          {digest === undefined ? '–' : format(digest[id])}
        </td>
      ))}
    </tr>
  );
}
