// The machines of this installation.
import type { NodeView } from '../../../api/contract.ts';
import { Section } from '../../components/sheet.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { formatBytes } from '../../format.ts';
import { hrefOf } from '../../hash.ts';

const columns: readonly Column<NodeView>[] = [
  { id: 'node', label: 'Node', isTitle: true, cell: ({ id }) => id },
  {
    id: 'state',
    label: 'State',
    cell: ({ state }) => <span class={state === 'active' ? '' : 'bad'}>{state}</span>,
  },
  { id: 'version', label: 'Version', cell: ({ version }) => version },
  { id: 'epoch', label: 'Epoch', cell: ({ epoch }) => epoch },
  {
    id: 'capacity',
    label: 'Capacity',
    cell: ({ capacity }) => <span class="wrap">{pairs(capacity) || '–'}</span>,
  },
];

function pairs(record: Readonly<Record<string, unknown>>): string {
  const wordOf = (name: string, value: unknown): string => {
    if (name.endsWith('_bytes') && typeof value === 'number') return formatBytes(value);
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  };
  return Object.entries(record)
    .map(([name, value]) => `${name.replace('_bytes', '').replaceAll('_', ' ')} ${wordOf(name, value)}`)
    .join(', ');
}

export function Nodes({ nodes }: { readonly nodes: readonly NodeView[] | null }) {
  return (
    <Section title="Nodes">
      {nodes === null ? (
        <p class="soft">The database did not say which there are.</p>
      ) : (
        <>
          <Table caption="Nodes" columns={columns} rows={nodes} idOf={({ id }) => id} />
          <p class="hint">
            <a href={hrefOf('/ports')}>Their ports</a>
          </p>
        </>
      )}
    </Section>
  );
}
