// What can be asked for: every type with what it runs, what it may reach and how long. Admins switch types on and off here,
// and bring in new ones.

import type { TypeView } from '../api/type-actions.ts';
import { Button } from '../components/button.tsx';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { type Column, Table } from '../components/table.tsx';
import { formatMinutes } from '../format.ts';
import { hrefOf } from '../hash.ts';
import { useReading } from '../reading.ts';
import { place, setQuery } from '../router.ts';
import { isAdmin, may } from '../session-state.ts';
import { AddType } from './types/add-type.tsx';
import { TypeState } from './types/type-state.tsx';
import { eraOf, networkOf } from './types/words.ts';

export function TypesScreen() {
  const types = useReading<readonly TypeView[]>('/mcp-types', {
    query: { limit: 200 },
    pagesMax: 5,
    topics: ['types'],
  });
  const add = (): void => setQuery({ add: '1' });
  return (
    <>
      <PageHead title="Types" lead="What you can ask for: each is an MCP server that this machine can run.">
        {isAdmin.value && (
          <Button kind="primary" icon="plus" onClick={add}>
            Add a type
          </Button>
        )}
      </PageHead>
      <ReadingView reading={types} what="The types">
        {(rows) =>
          rows.length === 0 ? (
            <EmptyState title="There is no type to ask for.">
              {isAdmin.value ? (
                <Button kind="primary" icon="plus" onClick={add}>
                  Add the first one
                </Button>
              ) : (
                <p>Ask an admin to switch one on.</p>
              )}
            </EmptyState>
          ) : (
            <Table caption="Types" columns={columns(types.reload)} rows={rows} idOf={({ name }) => name} />
          )
        }
      </ReadingView>
      {place.value.query.add !== undefined && isAdmin.value && (
        <AddType onClose={() => setQuery({ add: undefined }, { replace: true })} />
      )}
    </>
  );
}

const columns = (onChanged: () => void): readonly Column<TypeView>[] => [
  {
    id: 'type',
    label: 'Type',
    isTitle: true,
    cell: (type) => (
      <>
        <a href={hrefOf(`/types/${type.name}`)}>{type.display_name}</a>
        <span class="under mono">{type.name}</span>
      </>
    ),
  },
  {
    id: 'package',
    label: 'Package',
    cell: (type) => (
      <>
        <span class="mono">{type.package}</span>
        <span class="under">{type.version}</span>
      </>
    ),
  },
  {
    id: 'speaks',
    label: 'Speaks',
    cell: (type) => (
      <>
        {type.transport}
        <span class="under">{eraOf(type)}</span>
      </>
    ),
  },
  { id: 'network', label: 'Network', cell: networkOf },
  { id: 'lease', label: 'Longest lease', cell: (type) => formatMinutes(type.max_duration_minutes) },
  {
    id: 'key',
    label: 'API key',
    cell: (type) =>
      type.needs_api_key ? <a href={hrefOf('/keys')}>needed</a> : <span class="faint">none</span>,
  },
  { id: 'state', label: 'State', cell: (type) => <TypeState type={type} onChanged={onChanged} /> },
  {
    id: 'actions',
    label: 'Actions',
    isLabelHidden: true,
    align: 'end',
    cell: (type) => may('instances:write') && type.is_active && type.available && <Ask type={type} />,
  },
];

function Ask({ type }: { readonly type: TypeView }) {
  return (
    <div class="row-actions">
      <a class="button quiet" href={hrefOf('/instances', { new: type.name })}>
        Ask for one<span class="spoken"> of {type.display_name}</span>
      </a>
    </div>
  );
}
