// The reader's own API tokens: what each may do, from where and until when. A token is shown once, when it is made. And
// the reader's own data, to take away.
import { useSignal } from '@preact/signals';
import type { ApiTokenView } from '../../api/contract.ts';
import { send } from '../api/client.ts';
import { download } from '../api/download.ts';
import { Button } from '../components/button.tsx';
import { Confirm } from '../components/dialog.tsx';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Pager } from '../components/pager.tsx';
import { Section } from '../components/sheet.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago, Countdown } from '../components/time.tsx';
import { useReading } from '../reading.ts';
import { place, setQuery } from '../router.ts';
import { say } from '../toasts.ts';
import { NewToken } from './tokens/new-token.tsx';

interface Me {
  readonly token: { readonly id: string };
}

export function TokensScreen() {
  const { query } = place.value;
  const tokens = useReading<readonly ApiTokenView[]>('/tokens', {
    query: { limit: 50, cursor: query.cursor },
    topics: ['tokens'],
  });
  const me = useReading<Me>('/me');
  const ask = (): void => setQuery({ new: '1' });
  const columns_ = columns(me.data?.token.id, tokens.reload);
  return (
    <>
      <PageHead
        title="Tokens"
        lead="Your API tokens, for the command line and for programs. Instances have access tokens of their own."
      >
        <Button kind="primary" icon="plus" onClick={ask}>
          New token
        </Button>
      </PageHead>
      <ReadingView reading={tokens} what="Your tokens">
        {(rows) =>
          rows.length === 0 ? (
            <EmptyState title="You have no API token.">
              <Button kind="primary" icon="plus" onClick={ask}>
                Make one
              </Button>
            </EmptyState>
          ) : (
            <Table caption="API tokens" columns={columns_} rows={rows} idOf={({ id }) => id} />
          )
        }
      </ReadingView>
      <Pager meta={tokens.meta} />
      <Section title="Your data">
        <p class="soft">
          Everything that is held about you: instances, events, logs, keys and tokens, without their secrets.
          One JSON document a line.
        </p>
        <p>
          <Button onClick={() => download('/me/export')}>Download your data</Button>
        </p>
      </Section>
      {query.new !== undefined && (
        <NewToken
          forUser={query.new === '1' ? undefined : query.new}
          onClose={() => {
            setQuery({ new: undefined }, { replace: true });
            tokens.reload();
          }}
        />
      )}
    </>
  );
}

const columns = (currentId: string | undefined, onChanged: () => void): readonly Column<ApiTokenView>[] => [
  {
    id: 'token',
    label: 'Name',
    isTitle: true,
    cell: ({ id, name, prefix }) => (
      <>
        {name} {id === currentId && <span class="tag">this session's</span>}
        <span class="under mono">{prefix}…</span>
      </>
    ),
  },
  { id: 'scopes', label: 'May', cell: ({ scopes }) => <span class="wrap">{scopes.join(', ')}</span> },
  {
    id: 'networks',
    label: 'From',
    cell: ({ allowed_cidrs: networks }) => networks?.join(', ') ?? 'anywhere',
  },
  {
    id: 'rate',
    label: 'A minute',
    cell: ({ rate_limit_per_minute: rate }) => rate ?? <span class="faint">no limit of its own</span>,
  },
  {
    id: 'expires',
    label: 'Expires in',
    cell: ({ expires_at: time }) => (time === null ? 'never' : <Countdown until={time} />),
  },
  { id: 'used', label: 'Last used', cell: ({ last_used_at: time }) => <Ago time={time} /> },
  {
    id: 'actions',
    label: 'Actions',
    isLabelHidden: true,
    align: 'end',
    cell: (token) => <Revoke token={token} isCurrent={token.id === currentId} onChanged={onChanged} />,
  },
];

interface RevokeProps {
  readonly token: ApiTokenView;
  readonly isCurrent: boolean;
  readonly onChanged: () => void;
}

function Revoke({ token, isCurrent, onChanged }: RevokeProps) {
  const asks = useSignal(false);
  return (
    <div class="row-actions">
      <Button
        kind="quiet"
        label={`Revoke ${token.name}`}
        onClick={() => {
          asks.value = true;
        }}
      >
        Revoke…
      </Button>
      {asks.value && (
        <Confirm
          title={`Revoke ${token.name}?`}
          verb="Revoke"
          onClose={() => {
            asks.value = false;
          }}
          onConfirm={async () => {
            await send('DELETE', `/tokens/${token.id}`);
            say(`${token.name} is revoked`);
            onChanged();
          }}
        >
          <p>
            It is refused from the next request on, and whoever logged in with it is logged out. Instances go
            on.
          </p>
          {isCurrent && <p class="bad">You are logged in with this one: your session ends.</p>}
        </Confirm>
      )}
    </div>
  );
}
