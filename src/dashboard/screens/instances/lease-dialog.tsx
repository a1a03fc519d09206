// Chooses how long an instance may go on: a longer lease while it has one, a new one when it is over.
import { useSignal } from '@preact/signals';
import type { InstanceView, McpTypeView } from '../../../api/contract.ts';
import { extendTo, minutesLeft, startAgain } from '../../api/instance-actions.ts';
import { useAction } from '../../components/action.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { commonMinutes, DurationField, durationFault } from '../../components/duration-field.tsx';
import { ErrorNotice } from '../../components/notices.tsx';
import { Countdown } from '../../components/time.tsx';
import { formatMinutes, parseMinutes } from '../../format.ts';
import { say } from '../../toasts.ts';

interface LeaseDialogProps {
  readonly instance: InstanceView;
  readonly type: McpTypeView | undefined;
  readonly onClose: () => void;
}

export function LeaseDialog({ instance, type, onClose }: LeaseDialogProps) {
  const text = useSignal(formatMinutes(firstOffer(instance, type)));
  const fault = useSignal<string | undefined>(undefined);
  const action = useAction();
  const isOver = instance.status === 'expired';
  const maxMinutes = type?.max_duration_minutes;
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    fault.value = durationFault(text.value, maxMinutes);
    const minutes = parseMinutes(text.value);
    if (fault.value !== undefined || minutes === undefined) return;
    const isDone = await action.run(() =>
      isOver ? startAgain(instance, minutes) : extendTo(instance, minutes),
    );
    if (!isDone) return;
    say(`${instance.name}: lease ${isOver ? 'renewed' : 'extended'}`);
    onClose();
  };
  return (
    <Dialog title={`${isOver ? 'Renew' : 'Extend'} ${instance.name}`} onClose={onClose}>
      <form noValidate onSubmit={submit}>
        <div class="dialog-body">
          {isOver ? (
            <p>It starts again with a new lease, at the same URL and with the same token.</p>
          ) : (
            <p>
              <Countdown until={instance.expires_at} /> left. The new lease counts from now and is never
              shorter than that.
            </p>
          )}
          <DurationField
            label="Lease from now"
            isRequired
            value={text.value}
            onValue={(value) => {
              text.value = value;
              fault.value = undefined;
            }}
            maxMinutes={maxMinutes}
            error={fault.value ?? action.problem?.fieldMessage('/duration_minutes')}
          />
          {action.problem && <ErrorNotice problem={action.problem} />}
        </div>
        <footer class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" isBusy={action.isBusy}>
            {isOver ? 'Renew' : 'Extend'}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

/** The shortest common lease that would make it longer, or the longest there is. */
function firstOffer(instance: InstanceView, type: McpTypeView | undefined): number {
  const longest = type?.max_duration_minutes ?? 60;
  if (instance.status === 'expired') return Math.min(60, longest);
  const longer = commonMinutes.find((minutes) => minutes > minutesLeft(instance));
  return Math.min(longer ?? longest, longest);
}
