// Buttons. `kind` says how much they weigh: primary once per view, danger for what cannot be taken back, quiet in rows.
// BusyButton is for what takes a while: it turns busy in the same moment and tells a failure as a toast.
import type { ComponentChildren } from 'preact';
import { sayProblem } from '../toasts.ts';
import { useAction } from './action.ts';
import { Icon, type IconName } from './icons.tsx';

interface ButtonProps {
  readonly kind?: 'primary' | 'danger' | 'quiet' | 'plain';
  readonly type?: 'button' | 'submit';
  readonly icon?: IconName;
  /** Spoken instead of the children; needed where there is only an icon. */
  readonly label?: string;
  readonly isBusy?: boolean;
  readonly disabled?: boolean;
  /** Why it is disabled, or what it does. */
  readonly title?: string;
  readonly onClick?: (() => void) | undefined;
  /** The id of the popover it opens. */
  readonly opens?: string;
  readonly children?: ComponentChildren;
}

export function Button({
  kind = 'plain',
  type = 'button',
  icon,
  label,
  isBusy = false,
  ...rest
}: ButtonProps) {
  const { children, onClick, opens, ...native } = rest;
  return (
    <button
      {...native}
      type={type}
      class={`button ${kind} ${children === undefined ? 'square' : ''}`}
      aria-label={label}
      aria-busy={isBusy}
      popovertarget={opens}
      aria-haspopup={opens === undefined ? undefined : 'menu'}
      aria-expanded={opens === undefined ? undefined : false}
      // Not `disabled`: that would throw the focus away while it works.
      aria-disabled={isBusy}
      onClick={(event) => {
        if (!isBusy) return onClick?.();
        event.preventDefault();
      }}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface BusyButtonProps extends Omit<ButtonProps, 'onClick' | 'isBusy' | 'type'> {
  readonly onAct: () => Promise<unknown>;
  /** The first line of the toast when it fails: "Could not stop memory-1". */
  readonly failure: string;
}

export function BusyButton({ onAct, failure, ...props }: BusyButtonProps) {
  const action = useAction();
  const act = (): void => {
    action.run(() =>
      onAct().catch((error: unknown) => {
        sayProblem(error, failure);
        throw error;
      }),
    );
  };
  return <Button {...props} isBusy={action.isBusy} onClick={act} />;
}
