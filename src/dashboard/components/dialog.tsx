// Dialogs: the browser's own <dialog>, so that focus is kept inside, Escape closes it, and the focus returns to what
// opened it. Render one while it is open; it opens by being there. Confirm asks before what cannot be taken back.
import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { useAction } from './action.ts';
import { Button } from './button.tsx';
import { ErrorNotice } from './notices.tsx';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  /** Its content must not be lost by a slip: a click beside it does not close it. */
  readonly isSticky?: boolean;
  readonly children: ComponentChildren;
}

export function Dialog({ title, onClose, isSticky = false, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    // Not the button that closes it, which the browser would take: the first field, or else the way back.
    dialog
      ?.querySelector<HTMLElement>('.dialog-body :is(input, select, textarea), .dialog-foot :is(button, a)')
      ?.focus();
    return () => dialog?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape is the keyboard's way, and the browser's own
    <dialog
      ref={element}
      class="dialog"
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (!isSticky && event.target === element.current) onClose();
      }}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={titleId}>{title}</h2>
          <Button kind="quiet" icon="close" label="Close" onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  readonly title: string;
  /** What will happen, and what cannot be undone. */
  readonly children: ComponentChildren;
  /** The verb on the button: "Remove". */
  readonly verb: string;
  readonly onConfirm: () => Promise<unknown>;
  readonly onClose: () => void;
}

export function Confirm({ title, children, verb, onConfirm, onClose }: ConfirmProps) {
  const action = useAction();
  const confirm = async (): Promise<void> => {
    if (await action.run(onConfirm)) onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-body">
        {children}
        {action.problem && <ErrorNotice problem={action.problem} />}
      </div>
      <footer class="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="danger" isBusy={action.isBusy} onClick={confirm}>
          {verb}
        </Button>
      </footer>
    </Dialog>
  );
}
