// What an instance is at a glance: its state and lease in large, the rest in small.
import type { ComponentChildren } from 'preact';
import type { InstanceView, McpTypeView, UserView } from '../../../api/contract.ts';
import { StatusBadge } from '../../components/status-badge.tsx';
import { Ago, Countdown } from '../../components/time.tsx';
import { formatSpan } from '../../format.ts';
import { linkIfThere } from '../../router.ts';
import { session } from '../../session-state.ts';

interface FactsProps {
  readonly instance: InstanceView;
  readonly type: McpTypeView | undefined;
  /** undefined: not an admin, or not read yet. */
  readonly owner: UserView | undefined;
}

export function Facts({ instance, type, owner }: FactsProps) {
  const href = linkIfThere(`/types/${instance.mcp_type}`) ?? linkIfThere('/types');
  const typeName = type?.display_name ?? instance.mcp_type;
  const isOver = instance.status === 'expired';
  return (
    <dl class="facts">
      <Fact name="Status">
        <StatusBadge instance={instance} />
      </Fact>
      <Fact name={isOver ? 'Lease ended' : 'Lease left'}>
        {isOver ? <Ago time={instance.expires_at} /> : <Countdown until={instance.expires_at} />}
      </Fact>
      <Fact name="Type">{href ? <a href={href}>{typeName}</a> : typeName}</Fact>
      {owner && <Fact name="Owner">{owner.id === session.value?.user.id ? 'you' : owner.email}</Fact>}
      <Fact name="Last call">
        <Ago time={instance.last_accessed} />
      </Fact>
      <Fact name="Ready after">{readyAfter(instance)}</Fact>
      <Fact name="Port">{instance.assigned_port ?? 'none'}</Fact>
      <Fact name="Process">{instance.process_id ?? 'none'}</Fact>
      <Fact name="Generation">
        {instance.generation}
        {instance.restarts > 0 && (
          <span class="faint">
            , {instance.restarts} restart{instance.restarts === 1 ? '' : 's'}
          </span>
        )}
      </Fact>
      <Fact name="Isolation">{instance.isolation ?? 'not started'}</Fact>
      <Fact name="Machine">{instance.node_id}</Fact>
      <Fact name="Asked for">
        <Ago time={instance.created_at} />
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** From being asked for to answering MCP, for the first start; from its start, for a later one. */
function readyAfter({ created_at: asked, started_at: started, ready_at: ready, generation }: InstanceView) {
  if (ready === null) return '–';
  const from = generation === 1 ? asked : (started ?? ready);
  const ms = Date.parse(ready) - Date.parse(from);
  return ms < 0 ? '–' : ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : formatSpan(ms);
}
