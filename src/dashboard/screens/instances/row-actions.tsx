// What can be done to one instance, in its row: the likely next step as a button, the rest in menus. Only what its status
// allows is offered.
import { useSignal } from '@preact/signals';
import type { InstanceView, McpTypeView } from '../../../api/contract.ts';
import { extendBy, offers, remove, restart, startAgain, stop } from '../../api/instance-actions.ts';
import { useAction } from '../../components/action.ts';
import { BusyButton } from '../../components/button.tsx';
import { Confirm } from '../../components/dialog.tsx';
import { Menu, type MenuItem } from '../../components/menu.tsx';
import { say, sayProblem } from '../../toasts.ts';
import { LeaseDialog } from './lease-dialog.tsx';

interface RowActionsProps {
  readonly instance: InstanceView;
  /** undefined while the types are being read. */
  readonly type: McpTypeView | undefined;
}

export function RowActions({ instance, type }: RowActionsProps) {
  const asks = useSignal<'remove' | 'lease' | undefined>(undefined);
  const action = useAction();
  const { name } = instance;
  const can = offers(instance);
  const act = (what: string, work: () => Promise<unknown>) => (): void => {
    action.run(() => work().catch((error: unknown) => sayProblem(error, `Could not ${what} ${name}`)));
  };
  const ask = (what: 'remove' | 'lease') => (): void => {
    asks.value = what;
  };
  const close = (): void => {
    asks.value = undefined;
  };
  const extend = (minutes: number) =>
    act('extend', async () => {
      await extendBy(instance, minutes, type?.max_duration_minutes ?? minutes);
      say(`${name}: lease extended`);
    });
  const lease: MenuItem[] = [
    { label: 'Add 30 minutes', onAct: extend(30) },
    { label: 'Add 1 hour', onAct: extend(60) },
    { label: 'Choose…', onAct: ask('lease') },
  ];
  const more: MenuItem[] = [
    ...(can.restart ? [{ label: 'Restart', onAct: act('restart', () => restart(instance)) }] : []),
    ...(can.renew ? [{ label: 'Renew for…', onAct: ask('lease') }] : []),
    ...(can.remove ? [{ label: 'Remove…', isDanger: true, onAct: ask('remove') }] : []),
  ];
  return (
    <div class="row-actions">
      {can.stop && (
        <BusyButton
          kind="quiet"
          label={`Stop ${name}`}
          failure={`Could not stop ${name}`}
          onAct={() => stop(instance)}
        >
          Stop
        </BusyButton>
      )}
      {(can.start || can.renew) && (
        <BusyButton
          kind="quiet"
          label={`${can.start ? 'Start' : 'Renew'} ${name}`}
          failure={`Could not ${can.start ? 'start' : 'renew'} ${name}`}
          onAct={() => startAgain(instance)}
        >
          {can.start ? 'Start' : 'Renew'}
        </BusyButton>
      )}
      {can.extend && <Menu label={`Extend ${name}`} text="Extend" items={lease} isBusy={action.isBusy} />}
      {more.length > 0 && <Menu label={`More for ${name}`} items={more} isBusy={action.isBusy} />}
      {asks.value === 'remove' && (
        <Confirm title={`Remove ${name}?`} verb="Remove" onClose={close} onConfirm={() => remove(instance)}>
          <p>
            Its process is ended, its token stops working, and its home directory is deleted. This cannot be
            undone.
          </p>
        </Confirm>
      )}
      {asks.value === 'lease' && <LeaseDialog instance={instance} type={type} onClose={close} />}
    </div>
  );
}
