// The reader's own API keys for upstream services, by type: whether there is one, how old it is, and which types wait for
// one. A key goes in and never comes out again.
import { useSignal } from '@preact/signals';
import type { ApiKeyView, McpTypeView } from '../../api/contract.ts';
import { send } from '../api/client.ts';
import { Button } from '../components/button.tsx';
import { Confirm } from '../components/dialog.tsx';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago, Countdown } from '../components/time.tsx';
import { useReading } from '../reading.ts';
import { linkIfThere, place, setQuery } from '../router.ts';
import { may } from '../session-state.ts';
import { say } from '../toasts.ts';
import { StoreKey } from './keys/store-key.tsx';

interface Row {
  readonly name: string;
  /** undefined: switched off, or gone, and a key is still stored. */
  readonly type: McpTypeView | undefined;
  readonly key: ApiKeyView | undefined;
}

export function KeysScreen() {
  const options = { query: { limit: 200 }, pagesMax: 5 };
  const keys = useReading<readonly ApiKeyView[]>('/api-keys', { ...options, topics: ['keys'] });
  const types = useReading<readonly McpTypeView[]>(may('instances:read') ? '/mcp-types' : undefined, {
    ...options,
    topics: ['types'],
  });
  const wanted = place.value.query.type;
  const type = types.data?.find(({ name }) => name === wanted);
  const close = (): void => {
    setQuery({ type: undefined }, { replace: true });
    keys.reload();
  };
  return (
    <>
      <PageHead
        title="Keys"
        lead="Your own API keys for the services behind the types. They are kept encrypted, and go only to your instances."
      />
      <ReadingView reading={keys} what="Your keys">
        {(stored) => {
          const rows = rowsOf(stored, types.data ?? []);
          return rows.length === 0 ? (
            <Nothing />
          ) : (
            <Table caption="API keys" columns={columns(keys.reload)} rows={rows} idOf={({ name }) => name} />
          );
        }}
      </ReadingView>
      {type && may('keys:write') && (
        <StoreKey
          type={type}
          isReplacing={keys.data?.some((key) => key.mcp_type === type.name) ?? false}
          onClose={close}
        />
      )}
    </>
  );
}

function Nothing() {
  const href = linkIfThere('/types');
  return (
    <EmptyState title="No type here takes an API key.">
      <p>
        Ask for an instance as it is
        {href && (
          <>
            , of one of <a href={href}>the types</a>
          </>
        )}
        .
      </p>
    </EmptyState>
  );
}

/** Those that wait for a key first, then the stored ones, then those that could have one. */
function rowsOf(keys: readonly ApiKeyView[], types: readonly McpTypeView[]): readonly Row[] {
  const byName = new Map(keys.map((key) => [key.mcp_type, key]));
  const takers = types.filter(({ key_variable: variable, name }) => variable !== null || byName.has(name));
  const rows = takers.map((type): Row => ({ name: type.name, type, key: byName.get(type.name) }));
  const rest = keys.filter(({ mcp_type: name }) => !takers.some((type) => type.name === name));
  const rank = (row: Row): number => (isMissing(row) ? 0 : row.key ? 1 : 2);
  return [...rows, ...rest.map((key): Row => ({ name: key.mcp_type, type: undefined, key }))].sort(
    (one, other) => rank(one) - rank(other),
  );
}

const isMissing = ({ key, type }: Row): boolean => key === undefined && (type?.needs_api_key ?? false);

const columns = (onChanged: () => void): readonly Column<Row>[] => [
  {
    id: 'type',
    label: 'Type',
    isTitle: true,
    cell: ({ name, type }) => {
      const href = type && linkIfThere(`/types/${name}`);
      return (
        <>
          {href ? <a href={href}>{type.display_name}</a> : (type?.display_name ?? name)}
          {type ? (
            <span class="under mono">{type.key_variable}</span>
          ) : (
            <span class="under">not offered now</span>
          )}
        </>
      );
    },
  },
  {
    id: 'key',
    label: 'Key',
    cell: (row) => {
      if (row.key) return <code>{row.key.key_hint ?? 'stored'}</code>;
      return isMissing(row) ? <span class="bad">needed, none stored</span> : <span class="faint">none</span>;
    },
  },
  {
    id: 'age',
    label: 'Stored',
    cell: ({ key }) => (key ? <Ago time={key.updated_at} /> : <span class="faint">–</span>),
  },
  {
    id: 'expires',
    label: 'Expires in',
    cell: ({ key }) => {
      if (key === undefined) return <span class="faint">–</span>;
      return key.expires_at === null ? 'never' : <Countdown until={key.expires_at} />;
    },
  },
  {
    id: 'actions',
    label: 'Actions',
    isLabelHidden: true,
    align: 'end',
    cell: (row) => may('keys:write') && <Actions row={row} onChanged={onChanged} />,
  },
];

function Actions({ row, onChanged }: { readonly row: Row; readonly onChanged: () => void }) {
  const asks = useSignal(false);
  const { name, type, key } = row;
  const title = type?.display_name ?? name;
  return (
    <div class="row-actions">
      {type && (
        <Button
          kind={isMissing(row) ? 'primary' : 'quiet'}
          label={`${key ? 'Replace' : 'Store'} the key for ${title}`}
          onClick={() => setQuery({ type: name })}
        >
          {key ? 'Replace' : 'Store'}
        </Button>
      )}
      {key && (
        <Button
          kind="quiet"
          label={`Remove the key for ${title}`}
          onClick={() => {
            asks.value = true;
          }}
        >
          Remove…
        </Button>
      )}
      {asks.value && (
        <Confirm
          title={`Remove the key for ${title}?`}
          verb="Remove"
          onClose={() => {
            asks.value = false;
          }}
          onConfirm={async () => {
            await send('DELETE', `/api-keys/${encodeURIComponent(name)}`);
            say(`The key for ${title} is removed`);
            onChanged();
          }}
        >
          <p>
            What runs keeps it until it ends. New instances of {title}
            {type?.needs_api_key ? ' cannot be asked for' : ' run without one'} until you store another.
          </p>
        </Confirm>
      )}
    </div>
  );
}
