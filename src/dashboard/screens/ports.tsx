// The pool of ports as a map: what is free, what is held by whom, what rests in quarantine. For admins. The chosen port and
// the way it is shown stand in the address.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { PortView } from '../../api/contract.ts';
import { every, serverNowMs } from '../clock.ts';
import { EmptyState, Notice, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Tabs } from '../components/tabs.tsx';
import { Ago } from '../components/time.tsx';
import { hrefOf } from '../hash.ts';
import { useReading } from '../reading.ts';
import { linkIfThere, place, setQuery } from '../router.ts';
import { PortDetail } from './ports/port-detail.tsx';
import { PortMap } from './ports/port-map.tsx';
import { idOf, letters, type PortState, portStates, stateOf } from './ports/port-state.ts';

/** More than these are not drawn: pages of 200. */
const pagesMax = 25;

export function PortsScreen() {
  const ports = useReading<readonly PortView[]>('/ports', {
    query: { limit: 200 },
    pagesMax,
    topics: ['instances', 'ports', 'settings'],
  });
  const nowMs = useNow();
  return (
    <>
      <PageHead
        title="Ports"
        lead="Every instance answers on a port of its own. A port that was given back rests a while before the next one has it."
      />
      <ReadingView reading={ports} what="The ports">
        {(all) =>
          all.length === 0 ? (
            <EmptyState title="There is no port in the pool.">
              <p>
                The pool is made of the settings port.range_start and port.range_end:{' '}
                <a href={hrefOf('/settings')}>look at them</a>.
              </p>
            </EmptyState>
          ) : (
            <Pool ports={all} nowMs={nowMs} isCut={ports.meta?.next_cursor != null} />
          )
        }
      </ReadingView>
    </>
  );
}

/** The daemon's time, often enough for the end of a quarantine. */
function useNow(): number {
  const nowMs = useSignal(serverNowMs());
  useEffect(
    () =>
      every(5, () => {
        nowMs.value = serverNowMs();
      }),
    [nowMs],
  );
  return nowMs.value;
}

interface PoolProps {
  readonly ports: readonly PortView[];
  readonly nowMs: number;
  readonly isCut: boolean;
}

function Pool({ ports, nowMs, isCut }: PoolProps) {
  const { port: chosenId, view = 'map', state } = place.value.query;
  const chosen = ports.find((port) => idOf(port) === chosenId);
  const shown = portStates.find((each) => each === state);
  const rows = shown === undefined ? ports : ports.filter((port) => stateOf(port, nowMs) === shown);
  const choose = (id: string): void => setQuery({ port: id }, { replace: true });
  return (
    <>
      <Totals ports={ports} nowMs={nowMs} />
      {isCut && (
        <Notice>Only the first {ports.length} ports are shown. "minimcp ports" lists them all.</Notice>
      )}
      <Tabs
        label="How the ports are shown"
        tabs={[
          { id: 'map', label: 'Map' },
          { id: 'table', label: 'Table' },
        ]}
        open={view}
        onOpen={(id) => setQuery({ view: id === 'map' ? undefined : id })}
      >
        {view === 'map' ? (
          <div class="port-view">
            <PortMap ports={ports} nowMs={nowMs} chosen={chosen} shown={shown} onChoose={choose} />
            <PortDetail port={chosen} nowMs={nowMs} />
          </div>
        ) : rows.length === 0 ? (
          <EmptyState title={`No port is ${shown} now.`}>
            <a href={hrefOf('/ports', { view: 'table' })}>Show all ports</a>
          </EmptyState>
        ) : (
          <Table caption="Ports" columns={columns(nowMs)} rows={rows} idOf={idOf} />
        )}
      </Tabs>
    </>
  );
}

function Totals({ ports, nowMs }: { readonly ports: readonly PortView[]; readonly nowMs: number }) {
  const { query } = place.value;
  const countOf = (state: PortState): number => ports.filter((port) => stateOf(port, nowMs) === state).length;
  return (
    <ul class="counts of-three" aria-label="Ports by state">
      {portStates.map((state) => {
        const isOn = query.state === state;
        return (
          <li key={state}>
            <a
              class="count"
              href={hrefOf('/ports', { ...query, state: isOn ? undefined : state })}
              aria-current={isOn ? 'true' : undefined}
            >
              <b>{countOf(state)}</b>
              <i class={`port is-${state}`} aria-hidden="true">
                {letters[state]}
              </i>{' '}
              {state}
            </a>
          </li>
        );
      })}
    </ul>
  );
}

const columns = (nowMs: number): readonly Column<PortView>[] => [
  { id: 'port', label: 'Port', isTitle: true, cell: ({ port }) => port },
  { id: 'node', label: 'Node', cell: ({ node_id: node }) => node },
  { id: 'state', label: 'State', cell: (port) => stateOf(port, nowMs) },
  {
    id: 'holder',
    label: 'Held by',
    cell: ({ mcp_instance_id: id }) => {
      if (id === null) return <span class="faint">nobody</span>;
      const href = linkIfThere(`/instances/${id}`);
      return href ? <a href={href}>{id.slice(-12)}</a> : <code>{id.slice(-12)}</code>;
    },
  },
  {
    id: 'since',
    label: 'Held or free since',
    cell: (port) => <Ago time={port.mcp_instance_id === null ? port.released_at : port.allocated_at} />,
  },
  {
    id: 'reason',
    label: 'Why it rests',
    cell: (port) =>
      stateOf(port, nowMs) === 'quarantined' ? (
        (port.quarantine_reason ?? 'given back')
      ) : (
        <span class="faint">–</span>
      ),
  },
];
