// The new instance: its URL, and its access token, which is shown here and never again. It follows the instance until it
// runs, and says what came in the way if it does not.
import type { InstanceWithToken } from '../../../api/contract.ts';
import { Button } from '../../components/button.tsx';
import { CopyLine } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Notice } from '../../components/notices.tsx';
import { StatusBadge } from '../../components/status-badge.tsx';
import { Countdown } from '../../components/time.tsx';
import { latest } from '../../live.ts';
import { linkIfThere } from '../../router.ts';
import { keepToken } from '../instance/fresh-token.ts';

interface CreatedProps {
  readonly instance: InstanceWithToken;
  readonly onClose: () => void;
}

export function Created({ instance, onClose }: CreatedProps) {
  const now = latest(instance);
  const href = linkIfThere(`/instances/${instance.id}`, { tab: 'connect' });
  return (
    <Dialog title={instance.name} onClose={onClose} isSticky>
      <div class="dialog-body">
        <p class="created-state" role="status">
          <StatusBadge instance={now} />
          <span class="faint">
            <Countdown until={now.expires_at} /> left
          </span>
        </p>
        {now.status === 'error' && (
          <Notice>{now.error_message ?? 'It could not start. Its log says why.'}</Notice>
        )}
        <div>
          <p class="label">URL</p>
          <CopyLine text={instance.access_url} what="URL" />
        </div>
        <div>
          <p class="label">Access token</p>
          <CopyLine text={instance.access_token} what="access token" />
          <p class="hint">Shown only now: it is not stored. A new one can be made at any time.</p>
        </div>
      </div>
      <footer class="dialog-foot">
        {href ? (
          <a class="button plain" href={href} onClick={() => keepToken(instance.id, instance.access_token)}>
            Connect a client
          </a>
        ) : (
          <p class="hint">
            <code>minimcp connect {instance.name} claude-code</code> connects a client
          </p>
        )}
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </footer>
    </Dialog>
  );
}
