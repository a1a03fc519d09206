// One event: its sentence, and behind it all that it noted.
import type { EventView } from '../../../api/contract.ts';
import { localTime } from '../../components/time.tsx';
import { notedOf } from '../../event-notes.ts';
import { isTrouble, sentenceOf } from '../../event-text.ts';
import { hrefOf } from '../../hash.ts';

export function What({ event }: { readonly event: EventView }) {
  const { message } = event.event_data;
  const sentence = sentenceOf(event);
  return (
    <>
      <span class={isTrouble(event) ? 'bad' : ''}>{sentence}</span>
      {typeof message === 'string' && <span class="under">{message}</span>}
      <details class="noted">
        <summary>
          Details<span class="spoken"> of: {sentence}</span>
        </summary>
        <dl>
          <Line name="time" value={localTime(event.created_at)} />
          {notedOf(event).map((noted) => (
            <Line key={noted.name} {...noted} />
          ))}
          {event.ip_address && <Line name="address" value={event.ip_address} />}
          {event.user_agent && <Line name="user agent" value={event.user_agent} />}
        </dl>
        {event.mcp_instance_id && (
          <p>
            <a href={hrefOf('/events', { instance: event.mcp_instance_id })}>All events of this instance</a>
          </p>
        )}
      </details>
    </>
  );
}

function Line({
  name,
  before,
  value,
}: {
  readonly name: string;
  readonly before?: string;
  readonly value: string;
}) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {before !== undefined && (
          <>
            <span class="spoken">before </span>
            <del>{before}</del>
            <span class="spoken">, now</span>{' '}
          </>
        )}
        {before === undefined ? value : <ins>{value}</ins>}
      </dd>
    </div>
  );
}
