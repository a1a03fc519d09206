// How many there are of each status, each a link to the list of just those.

import { hrefOf } from '../../hash.ts';
import { useReading } from '../../reading.ts';
import { place } from '../../router.ts';

interface Summary {
  readonly instances: Readonly<Record<string, number>>;
}

const shown = [
  ['running', 'Running'],
  ['pending', 'Starting'],
  ['stopping', 'Stopping'],
  ['disconnected', 'Stopped'],
  ['error', 'Failed'],
  ['expired', 'Ended'],
] as const;

export function Counts() {
  const { data } = useReading<Summary>('/summary', { topics: ['instances'] });
  const { query } = place.value;
  return (
    <ul class="counts" aria-label="Instances by status">
      {shown.map(([status, label]) => {
        const isOn = query.status === status;
        const count = data?.instances[status] ?? 0;
        return (
          <li key={status}>
            <a
              class={`count is-${status} ${count === 0 ? 'none' : ''}`}
              href={hrefOf('/instances', {
                ...query,
                status: isOn ? undefined : status,
                cursor: undefined,
                page: undefined,
              })}
              aria-current={isOn ? 'true' : undefined}
            >
              <b>{data === undefined ? '–' : count}</b>
              <span>{label}</span>
            </a>
          </li>
        );
      })}
    </ul>
  );
}
