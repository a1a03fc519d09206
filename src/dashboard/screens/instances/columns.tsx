// The columns of the list of instances.
import type { InstanceView, McpTypeView, UserView } from '../../../api/contract.ts';
import { Sparkline } from '../../components/sparkline.tsx';
import { StatusBadge } from '../../components/status-badge.tsx';
import type { Column } from '../../components/table.tsx';
import { Ago, Countdown } from '../../components/time.tsx';
import { formatBytes, formatPercent } from '../../format.ts';
import { linkIfThere } from '../../router.ts';
import { RowActions } from './row-actions.tsx';
import type { InstanceUsage } from './usage.ts';

interface ColumnsOptions {
  readonly types: ReadonlyMap<string, McpTypeView>;
  /** undefined: the reader sees only their own. */
  readonly users: ReadonlyMap<string, UserView> | undefined;
  readonly usage: ReadonlyMap<string, InstanceUsage>;
  readonly canWrite: boolean;
}

export function columnsOf({
  types,
  users,
  usage,
  canWrite,
}: ColumnsOptions): readonly Column<InstanceView>[] {
  const owner: Column<InstanceView> = {
    id: 'owner',
    label: 'Owner',
    cell: ({ user_id: id }) =>
      users?.get(id ?? '')?.email ?? <span class="faint">{id?.slice(0, 8) ?? 'erased'}</span>,
  };
  const actions: Column<InstanceView> = {
    id: 'actions',
    label: 'Actions',
    isLabelHidden: true,
    align: 'end',
    cell: (instance) => <RowActions instance={instance} type={types.get(instance.mcp_type)} />,
  };
  return [
    {
      id: 'name',
      label: 'Name',
      sort: 'name',
      isTitle: true,
      cell: (instance) => <Name instance={instance} />,
    },
    { id: 'type', label: 'Type', sort: 'mcp_type', cell: ({ mcp_type: type }) => type },
    ...(users === undefined ? [] : [owner]),
    {
      id: 'status',
      label: 'Status',
      sort: 'status',
      cell: (instance) => <StatusBadge instance={instance} />,
    },
    {
      id: 'lease',
      label: 'Lease left',
      sort: 'expires_at',
      cell: (instance) => <Lease instance={instance} />,
    },
    { id: 'use', label: 'CPU and memory', cell: (instance) => <Use course={courseOf(instance, usage)} /> },
    {
      id: 'used',
      label: 'Last call',
      sort: 'last_accessed',
      isDescendingFirst: true,
      cell: ({ last_accessed: time }) => <Ago time={time} />,
    },
    ...(canWrite ? [actions] : []),
  ];
}

/** What is at rest uses nothing, whatever it used before. */
function courseOf({ id, status }: InstanceView, usage: ReadonlyMap<string, InstanceUsage>) {
  return status === 'running' || status === 'pending' ? usage.get(id) : undefined;
}

function Use({ course }: { readonly course: InstanceUsage | undefined }) {
  if (course === undefined) return <span class="faint">–</span>;
  return (
    <>
      <Sparkline label="CPU" values={course.cpu_percent} format={formatPercent} topMin={25} />
      <Sparkline label="Memory" values={course.memory_bytes} format={formatBytes} topMin={64_000_000} />
    </>
  );
}

function Name({ instance }: { readonly instance: InstanceView }) {
  const href = linkIfThere(`/instances/${instance.id}`);
  return href === undefined ? <span>{instance.name}</span> : <a href={href}>{instance.name}</a>;
}

function Lease({ instance }: { readonly instance: InstanceView }) {
  if (instance.status !== 'expired') return <Countdown until={instance.expires_at} />;
  return (
    <span class="faint">
      <Ago time={instance.expires_at} />
    </span>
  );
}
