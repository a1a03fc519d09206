// The status of an instance: a shape, a colour and the word, so that no one of them has to be seen. Health shows only
// when it adds something; why it is not running is in the title.
import type { InstanceView } from '../../api/contract.ts';

/** A shape for each status, on a 10 px grid: full, part, hollow, struck, pointed. */
const shapes: Readonly<Record<InstanceView['status'], string>> = {
  running: 'M5 1a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z',
  pending: 'M5 1a4 4 0 0 0 0 8Z M5 1a4 4 0 0 1 0 8V8a3 3 0 0 0 0-6Z',
  stopping: 'M1 1h8v8H1Z',
  disconnected: 'M5 1a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0 1.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5Z',
  expired: 'M1 4h8v2H1Z',
  error: 'M5 .5 9.7 9H.3Z',
};

/** What `stop_reason` means to whoever reads the list. */
const reasons: Readonly<Record<NonNullable<InstanceView['stop_reason']>, string>> = {
  user: 'stopped by hand',
  expired: 'its lease is over',
  deleted: 'being removed',
  restart: 'being restarted',
  idle: 'asleep; the next request wakes it',
  disabled: 'its owner is disabled',
  start_failed: 'could not start',
  start_timeout: 'did not answer in time',
  crash_loop: 'kept crashing',
  crashed: 'crashed',
  limit: 'broke a limit',
  lost: 'its processes vanished',
};

export function StatusBadge({ instance }: { readonly instance: InstanceView }) {
  const { status, health, stop_reason: reason, error_message: message } = instance;
  const isWell = health === 'healthy' || health === 'unknown' || status !== 'running';
  const note = isWell ? (status === 'running' || reason === null ? undefined : reasons[reason]) : health;
  const says = status === 'expired' ? undefined : note;
  return (
    <span class={`status is-${isWell ? status : 'pending'}`} title={message ?? undefined}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        <path d={shapes[status]} />
      </svg>
      {status}
      {says && <span class="status-note">{says}</span>}
    </span>
  );
}
