// One port: who holds it and since when, or until when it rests and why.
import type { InstanceView, PortView } from '../../../api/contract.ts';
import { StatusBadge } from '../../components/status-badge.tsx';
import { Ago, Countdown } from '../../components/time.tsx';
import { latest } from '../../live.ts';
import { useReading } from '../../reading.ts';
import { linkIfThere } from '../../router.ts';
import { stateOf } from './port-state.ts';

export function PortDetail({ port, nowMs }: { readonly port: PortView | undefined; readonly nowMs: number }) {
  return (
    <section class="port-detail" aria-label="The chosen port" aria-live="polite">
      {port === undefined ? (
        <p class="faint">Choose a port to see who holds it.</p>
      ) : (
        <>
          <h2>{port.port}</h2>
          <p class="faint">{port.node_id}</p>
          <Told port={port} nowMs={nowMs} />
        </>
      )}
    </section>
  );
}

function Told({ port, nowMs }: { readonly port: PortView; readonly nowMs: number }) {
  const { mcp_instance_id: id } = port;
  if (id !== null) return <Holder id={id} since={port.allocated_at} />;
  if (stateOf(port, nowMs) === 'free')
    return (
      <p>
        Free{' '}
        {port.released_at === null ? (
          'and never used yet'
        ) : (
          <>
            since <Ago time={port.released_at} />
          </>
        )}
        .
      </p>
    );
  return (
    <>
      <p>
        In quarantine
        {port.quarantined_until && (
          <>
            {' '}
            for <Countdown until={port.quarantined_until} /> more
          </>
        )}
        .
      </p>
      <p>
        {port.quarantine_reason ??
          'It was given back a moment ago: late calls to its last holder must not reach the next.'}
      </p>
    </>
  );
}

function Holder({ id, since }: { readonly id: string; readonly since: string | null }) {
  const { data } = useReading<InstanceView>(`/instances/${id}`, { topics: ['instances'] });
  const href = linkIfThere(`/instances/${id}`);
  const name = data?.name ?? id.slice(-12);
  return (
    <>
      <p>
        Held by {href ? <a href={href}>{name}</a> : <b>{name}</b>}
        {since && (
          <>
            {' '}
            since <Ago time={since} />
          </>
        )}
        .
      </p>
      {data && <StatusBadge instance={latest(data)} />}
    </>
  );
}
