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
import { useReading } from '../../reading.ts';
import { isAdmin, session } from '../../session-state.ts';
import { isTrouble, receiptOf, sentenceOf } from './sentences.ts';

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
  const nameOf = (id: string): string | undefined => users.data?.find((user) => user.id === id)?.email;
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
                <Entry key={event.id} event={event} who={whoOf(event, instance, nameOf)} />
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

function whoOf(
  { actor_id: id, ip_address: ip, user_agent: agent }: EventView,
  { user_id: ownerId }: InstanceView,
  nameOf: (id: string) => string | undefined,
): string {
  if (id === null) return 'by MiniMCP itself';
  const who =
    id === session.value?.user.id ? 'you' : (nameOf(id) ?? (id === ownerId ? 'its owner' : 'an admin'));
  return `by ${who}${ip ? ` from ${ip}` : ''}${agent ? ` with ${programOf(agent)}` : ''}`;
}

/** The first word of a user agent that says something: browsers all begin alike. */
function programOf(agent: string): string {
  const browser = /(Firefox|Edg|Chrome|Safari)\/\d+/.exec(agent)?.[1];
  return browser === undefined ? (agent.split(/[ /]/, 1)[0] ?? agent) : browser.replace('Edg', 'Edge');
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
            {Object.entries(event.event_data).map(([name, value]) => (
              <Pair key={name} name={name.replaceAll('_', ' ')} value={wordOf(value)} />
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

function wordOf(value: unknown): string {
  if (value === null || value === undefined) return '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
