// What happened to an instance, newest first: in a sentence, by whom and from where, with all that was noted behind it.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { EventView, InstanceView, UserView } from '../../../api/contract.ts';
import { get } from '../../api/client.ts';
import { useAction } from '../../components/action.ts';
import { Button } from '../../components/button.tsx';
import { Icon } from '../../components/icons.tsx';
import { EmptyState, ErrorNotice, ReadingView } from '../../components/notices.tsx';
import { Ago, localTime } from '../../components/time.tsx';
import { notedOf, whoOf } from '../../event-notes.ts';
import { isTrouble, receiptOf, sentenceOf } from '../../event-text.ts';
import { useReading } from '../../reading.ts';
import { isAdmin, session } from '../../session-state.ts';

const pageEvents = 100;

export function Timeline({ instance }: { readonly instance: InstanceView }) {
  const path = `/instances/${instance.id}/events`;
  const newest = useReading<readonly EventView[]>(path, {
    query: { limit: pageEvents },
    topics: ['instances', 'events'],
  });
  const users = useReading<readonly UserView[]>(isAdmin.value ? '/users' : undefined, {
    query: { limit: 200 },
  });
  const older = useSignal<readonly EventView[]>([]);
  const next = useSignal<string | null | undefined>(undefined);
  const action = useAction();
  const cursor = next.value === undefined ? newest.meta?.next_cursor : next.value;
  useEffect(() => {
    older.value = [];
    next.value = undefined;
  }, [path, older, next]);
  const readOlder = async (): Promise<void> => {
    const { data, meta } = await get<EventView[]>(path, {
      query: { limit: pageEvents, cursor: cursor ?? undefined },
    });
    older.value = [...older.value, ...data];
    next.value = meta?.next_cursor ?? null;
  };
  const nameOf = (id: string): string => {
    if (id === session.value?.user.id) return 'you';
    const email = users.data?.find((user) => user.id === id)?.email;
    return email ?? (id === instance.user_id ? 'its owner' : 'an admin');
  };
  return (
    <ReadingView reading={newest} what="What happened">
      {(events) => {
        const all = [...new Map([...events, ...older.value].map((event) => [event.id, event])).values()];
        if (all.length === 0) {
          return (
            <EmptyState title="Nothing has happened yet.">
              <p>What is done to this instance, and by whom, appears here by itself.</p>
            </EmptyState>
          );
        }
        return (
          <>
            <ol class="timeline">
              {all.map((event) => (
                <Entry key={event.id} event={event} who={`by ${whoOf(event, nameOf)}`} />
              ))}
            </ol>
            {action.problem && <ErrorNotice problem={action.problem} />}
            {cursor && (
              <Button isBusy={action.isBusy} onClick={() => void action.run(readOlder)}>
                Read older events
              </Button>
            )}
          </>
        );
      }}
    </ReadingView>
  );
}

function Entry({ event, who }: { readonly event: EventView; readonly who: string }) {
  const receipt = receiptOf(event);
  const { message } = event.event_data;
  const hasMore = Object.keys(event.event_data).length > 0 || event.user_agent !== null;
  return (
    <li class={isTrouble(event) ? 'trouble' : ''}>
      <p class="timeline-what">{sentenceOf(event)}</p>
      {typeof message === 'string' && <p>{message}</p>}
      {receipt && (
        <ul class="receipt">
          {receipt.map(({ claim, holds }) => (
            <li key={claim} class={holds ? '' : 'broken'}>
              <Icon name={holds ? 'check' : 'warning'} />
              {holds ? claim : `not proved: ${claim}`}
            </li>
          ))}
        </ul>
      )}
      <p class="hint">
        <Ago time={event.created_at} /> {who}
      </p>
      {hasMore && (
        <details>
          <summary>
            Details<span class="spoken"> of: {sentenceOf(event)}</span>
          </summary>
          <dl class="pairs">
            <Pair name="time" value={localTime(event.created_at)} />
            {notedOf(event).map(({ name, value }) => (
              <Pair key={name} name={name} value={value} />
            ))}
            {event.user_agent && <Pair name="user agent" value={event.user_agent} />}
          </dl>
        </details>
      )}
    </li>
  );
}

function Pair({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
