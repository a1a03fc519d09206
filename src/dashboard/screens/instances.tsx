// Every instance the reader may see, how it is, and what can be done to it, without leaving the page. What is shown
// (search, filter, sort, page) stands in the address; what is selected does not.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { InstanceView, McpTypeView, UserView } from '../../api/contract.ts';
import { Button } from '../components/button.tsx';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Pager } from '../components/pager.tsx';
import { Table } from '../components/table.tsx';
import { hrefOf } from '../hash.ts';
import { latest, removed } from '../live.ts';
import { useReading } from '../reading.ts';
import { place, setQuery } from '../router.ts';
import { isAdmin, may } from '../session-state.ts';
import { BulkBar } from './instances/bulk-bar.tsx';
import { columnsOf } from './instances/columns.tsx';
import { Counts } from './instances/counts.tsx';
import { CreateDialog } from './instances/create-dialog.tsx';
import { Filters, isFiltered } from './instances/filters.tsx';
import type { InstanceUsage } from './instances/usage.ts';

const pageSize = 50;
/** Courses of CPU and memory are read again this often; the daemon measures about as often. */
const usageSeconds = 15;

export function InstancesScreen() {
  const { query } = place.value;
  const isAsking = query.new !== undefined;
  const instances = useReading<readonly InstanceView[]>('/instances', {
    query: {
      limit: pageSize,
      q: query.q,
      status: query.status,
      mcp_type: query.type,
      user_id: query.owner,
      sort: query.sort,
      // Asking for those that ended means wanting to see them.
      include_ended: query.ended !== '0' || query.status === 'expired',
      cursor: query.cursor,
    },
    topics: ['instances'],
  });
  const types = useReading<readonly McpTypeView[]>('/mcp-types', {
    query: { limit: 200 },
    topics: ['types'],
  });
  const users = useReading<readonly UserView[]>(isAdmin.value ? '/users' : undefined, {
    query: { limit: 200 },
    topics: ['users'],
  });
  const usage = useReading<readonly InstanceUsage[]>('/usage', { everySeconds: usageSeconds });
  const selected = useSignal<ReadonlySet<string>>(new Set());
  const rows = (instances.data ?? []).filter(({ id }) => !removed.value.has(id)).map(latest);
  // Another page or filter drops the selection
  useEffect(() => {
    selected.value = new Set();
  }, [query.cursor, query.q, query.status, query.type, query.owner]);
  const ask = (): void => setQuery({ new: '1' });
  const canWrite = may('instances:write');
  const columns = columnsOf({
    types: new Map(types.data?.map((type) => [type.name, type])),
    users: isAdmin.value ? new Map(users.data?.map((user) => [user.id, user])) : undefined,
    usage: new Map(usage.data?.map((course) => [course.instance_id, course])),
    canWrite,
  });
  const selectedRows = rows.filter(({ id }) => selected.value.has(id));
  return (
    <>
      <PageHead title="Instances">
        {canWrite && (
          <Button kind="primary" icon="plus" onClick={ask}>
            New instance
          </Button>
        )}
      </PageHead>
      <Counts />
      <Filters types={types.data ?? []} users={isAdmin.value ? (users.data ?? []) : undefined} />
      <ReadingView reading={instances} what="The instances">
        {() =>
          rows.length === 0 ? (
            <Nothing canWrite={canWrite} onAsk={ask} />
          ) : (
            <Table
              caption="Instances"
              columns={columns}
              rows={rows}
              idOf={({ id }) => id}
              sort={query.sort ?? ''}
              onSort={(sort) => setQuery({ sort, cursor: undefined, page: undefined })}
              {...(canWrite
                ? {
                    selection: {
                      ids: selected.value,
                      onChange: (ids: ReadonlySet<string>) => {
                        selected.value = ids;
                      },
                      nameOf: ({ name }: InstanceView) => name,
                    },
                  }
                : {})}
            />
          )
        }
      </ReadingView>
      <Pager meta={instances.meta} />
      {selectedRows.length > 0 && (
        <BulkBar
          rows={selectedRows}
          types={types.data ?? []}
          onClear={() => {
            selected.value = new Set();
          }}
        />
      )}
      {isAsking && canWrite && (
        <CreateDialog
          types={types}
          wanted={query.new}
          onClose={() => setQuery({ new: undefined }, { replace: true })}
        />
      )}
    </>
  );
}

function Nothing({ canWrite, onAsk }: { readonly canWrite: boolean; readonly onAsk: () => void }) {
  if (isFiltered(place.value.query))
    return (
      <EmptyState title="No instance matches.">
        <a href={hrefOf('/instances')}>Clear search and filters</a>
      </EmptyState>
    );
  return (
    <EmptyState title="There is no instance yet.">
      <p>An instance is your own copy of an MCP server, for a set time, behind one URL and one token.</p>
      {canWrite && (
        <Button kind="primary" icon="plus" onClick={onAsk}>
          Ask for the first one
        </Button>
      )}
    </EmptyState>
  );
}
