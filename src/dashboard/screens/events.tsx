// What happened in the whole installation, newest first, for admins: in sentences, with what was before and after behind
// them. Filters stand in the address.
import type { EventView, UserView } from '../../api/contract.ts';
import { timeOf } from '../components/form-dialog.tsx';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Pager } from '../components/pager.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { whoOf } from '../event-notes.ts';
import { hrefOf } from '../hash.ts';
import { useReading } from '../reading.ts';
import { linkIfThere, place } from '../router.ts';
import { session } from '../session-state.ts';
import { EventFilters, isNarrowed } from './events/event-filters.tsx';
import { What } from './events/what.tsx';

export function EventsScreen() {
  const { query } = place.value;
  const events = useReading<readonly EventView[]>('/events', {
    query: {
      limit: 50,
      cursor: query.cursor,
      event_type: query.type,
      user_id: query.user,
      instance_id: query.instance,
      since: timeOf(query.since ?? '') ?? undefined,
      until: timeOf(query.until ?? '') ?? undefined,
    },
    topics: ['events', 'instances'],
  });
  const users = useReading<readonly UserView[]>('/users', {
    query: { limit: 200 },
    pagesMax: 5,
    topics: ['users'],
  });
  const emails = new Map(users.data?.map(({ id, email }) => [id, email]));
  return (
    <>
      <PageHead
        title="Events"
        lead="What happened, and who did it from where. Nothing here can be changed or deleted."
      />
      <EventFilters users={users.data ?? []} />
      <ReadingView reading={events} what="The events">
        {(rows) =>
          rows.length === 0 ? (
            <EmptyState title={isNarrowed(query) ? 'No event matches.' : 'Nothing has happened yet.'}>
              {isNarrowed(query) ? (
                <a href={hrefOf('/events')}>Show all events</a>
              ) : (
                <p>What is done from now on appears here by itself.</p>
              )}
            </EmptyState>
          ) : (
            <Table
              caption="Events, newest first"
              columns={columns(emails)}
              rows={rows}
              idOf={({ id }) => id}
            />
          )
        }
      </ReadingView>
      <Pager meta={events.meta} />
    </>
  );
}

const columns = (emails: ReadonlyMap<string, string>): readonly Column<EventView>[] => {
  const nameOf = (id: string): string =>
    id === session.value?.user.id ? 'you' : (emails.get(id) ?? `user …${id.slice(-6)}`);
  return [
    { id: 'what', label: 'What', isTitle: true, cell: (event) => <What event={event} /> },
    { id: 'about', label: 'About', cell: (event) => <About event={event} nameOf={nameOf} /> },
    { id: 'who', label: 'By', cell: (event) => <span class="wrap">{whoOf(event, nameOf)}</span> },
    { id: 'when', label: 'When', cell: ({ created_at: time }) => <Ago time={time} /> },
  ];
};

interface AboutProps {
  readonly event: EventView;
  readonly nameOf: (id: string) => string;
}

function About({ event: { mcp_instance_id: instance, user_id: user }, nameOf }: AboutProps) {
  const href = instance === null ? undefined : linkIfThere(`/instances/${instance}`);
  const short = instance?.slice(-12);
  return (
    <>
      {short && <span>instance {href ? <a href={href}>…{short}</a> : <code>…{short}</code>}</span>}
      {user && <span class="under">{nameOf(user)}</span>}
      {!instance && !user && <span class="faint">the installation</span>}
    </>
  );
}
