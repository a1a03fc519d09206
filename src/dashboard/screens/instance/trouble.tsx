// Why an instance does not run, in words its owner can act on, and what to do next.
import type { InstanceView } from '../../../api/contract.ts';
import { Icon } from '../../components/icons.tsx';
import { hrefOf } from '../../hash.ts';

/** By stop_reason: what to do. The reason itself is said by the status and by error_message. */
const remedies: Readonly<Partial<Record<NonNullable<InstanceView['stop_reason']>, string>>> = {
  start_failed: 'Read its log, mend what it says (often a key or an input), then start it again.',
  start_timeout:
    'It did not answer MCP in time. Its log shows how far it came; a busy machine may need a second try.',
  crash_loop:
    'It crashed too often to be started again by itself. Its log shows the last words before each crash.',
  crashed: 'Its log shows its last words. Start it again when you know why.',
  limit:
    'It asked for more than its type allows. Start it again and give it less, or ask an admin for a larger limit.',
  lost: 'Its processes were gone when the supervisor looked. Start it again; nothing of its home was deleted.',
  disabled: 'Its owner is disabled. An admin can enable them again.',
};

export function Trouble({ instance }: { readonly instance: InstanceView }) {
  const { id, status, stop_reason: reason, error_message: message, exit_code: code } = instance;
  const remedy = reason === null ? undefined : remedies[reason];
  const isAtWork = status === 'running' || status === 'stopping';
  if (isAtWork || (status !== 'error' && message === null && remedy === undefined)) return null;
  return (
    <div class="notice error trouble" role={status === 'error' ? 'alert' : undefined}>
      <Icon name="warning" />
      <div>
        <p class="notice-title">{message ?? 'It does not run.'}</p>
        {code !== null && message === null && <p>It ended with exit code {code}.</p>}
        {remedy && <p>{remedy}</p>}
        <p>
          <a href={hrefOf(`/instances/${id}`, { tab: 'log' })}>Read its log</a>
        </p>
      </div>
    </div>
  );
}
