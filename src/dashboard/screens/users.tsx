// Who may use this installation, for admins: their role and quota, and what ends with them.
import { useSignal } from '@preact/signals';
import type { UserView } from '../../api/contract.ts';
import { Button } from '../components/button.tsx';
import { ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Pager } from '../components/pager.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { hrefOf } from '../hash.ts';
import { useReading } from '../reading.ts';
import { place, setQuery } from '../router.ts';
import { session } from '../session-state.ts';
import { EditUser } from './users/edit-user.tsx';
import { UserMenu } from './users/user-menu.tsx';
import { type Asked, UserQuestion } from './users/user-question.tsx';

export function UsersScreen() {
  const { query } = place.value;
  const users = useReading<readonly UserView[]>('/users', {
    query: { limit: 50, cursor: query.cursor },
    topics: ['users'],
  });
  const asked = useSignal<Asked | undefined>(undefined);
  const edited = users.data?.find(({ id }) => id === query.edit);
  const close = (): void => {
    setQuery({ edit: undefined, new: undefined }, { replace: true });
    users.reload();
  };
  const columns_ = columns((ask) => {
    asked.value = ask;
  });
  return (
    <>
      <PageHead
        title="Users"
        lead="Everyone here has their own instances, keys and tokens, and sees nobody else's."
      >
        <Button kind="primary" icon="plus" onClick={() => setQuery({ new: '1' })}>
          New user
        </Button>
      </PageHead>
      <ReadingView reading={users} what="The users">
        {(rows) => <Table caption="Users" columns={columns_} rows={rows} idOf={({ id }) => id} />}
      </ReadingView>
      <Pager meta={users.meta} />
      {(edited || query.new !== undefined) && <EditUser key={edited?.id} user={edited} onClose={close} />}
      {asked.value && (
        <UserQuestion
          asked={asked.value}
          onClose={() => {
            asked.value = undefined;
            users.reload();
          }}
        />
      )}
    </>
  );
}

const columns = (onAsk: (asked: Asked) => void): readonly Column<UserView>[] => [
  {
    id: 'email',
    label: 'E-mail',
    isTitle: true,
    cell: (user) => (
      <>
        {user.email} {user.id === session.value?.user.id && <span class="tag">you</span>}
        <span class="under">{user.name}</span>
      </>
    ),
  },
  { id: 'role', label: 'Role', cell: ({ role }) => role },
  {
    id: 'quota',
    label: 'Instances at most',
    cell: ({ max_instances: count }) => count ?? <span class="faint">as set for all</span>,
  },
  {
    id: 'state',
    label: 'State',
    cell: ({ disabled_at: time }) =>
      time === null ? (
        'enabled'
      ) : (
        <span class="bad">
          disabled <Ago time={time} />
        </span>
      ),
  },
  { id: 'created', label: 'Made', cell: ({ created_at: time }) => <Ago time={time} /> },
  {
    id: 'instances',
    label: 'Theirs',
    cell: ({ id }) => (
      <>
        <a href={hrefOf('/instances', { owner: id })}>instances</a>,{' '}
        <a href={hrefOf('/events', { user: id })}>events</a>
      </>
    ),
  },
  {
    id: 'actions',
    label: 'Actions',
    isLabelHidden: true,
    align: 'end',
    cell: (user) => <UserMenu user={user} onAsk={onAsk} />,
  },
];
