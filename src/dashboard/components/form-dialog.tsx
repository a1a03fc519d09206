// A form in a dialog: sent by Enter, busy while it is under way, closed when it is done; what was refused stands at its
// field, and what is wrong before it is sent takes the focus. useForm holds what is typed.
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { ApiProblem } from '../api/problem.ts';
import { useAction } from './action.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { TextField } from './fields.tsx';
import { ErrorNotice } from './notices.tsx';

interface FormDialogProps {
  readonly title: string;
  /** The verb on the button: "Store". */
  readonly verb: string;
  readonly isDanger?: boolean;
  /** Whether it may be sent; it marks what is wrong. */
  readonly onCheck?: () => boolean;
  readonly onSend: () => Promise<unknown>;
  readonly onClose: () => void;
  readonly children: (problem: ApiProblem | undefined) => ComponentChildren;
}

export function FormDialog(props: FormDialogProps) {
  const { title, verb, isDanger = false, onCheck, onSend, onClose, children } = props;
  const action = useAction();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const isSent = onCheck?.() !== false;
    if (isSent && (await action.run(onSend))) return onClose();
    requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
  };
  return (
    <Dialog title={title} onClose={onClose} isSticky>
      <form noValidate onSubmit={submit}>
        <div class="dialog-body">
          {children(action.problem)}
          {action.problem && <ErrorNotice problem={action.problem} />}
        </div>
        <footer class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind={isDanger ? 'danger' : 'primary'} type="submit" isBusy={action.isBusy}>
            {verb}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

interface TypedConfirmProps extends Pick<FormDialogProps, 'title' | 'verb' | 'onSend' | 'onClose'> {
  /** What must be typed. */
  readonly word: string;
  /** What will happen, and what cannot be undone. */
  readonly children: ComponentChildren;
}

/** Asks before what ends much at once: a word must be typed, so that it is never done by a slip. */
export function TypedConfirm({ word, children, ...form }: TypedConfirmProps) {
  const { bind, values } = useForm({ word: '' });
  const isWrong = useSignal(false);
  const check = (): boolean => {
    isWrong.value = values.word.trim() !== word;
    return !isWrong.value;
  };
  return (
    <FormDialog {...form} isDanger onCheck={check}>
      {() => (
        <>
          {children}
          <TextField
            label={`Type ${word} to go on`}
            isRequired
            {...bind('word')}
            error={isWrong.value ? `Type exactly ${word}.` : undefined}
          />
        </>
      )}
    </FormDialog>
  );
}

/** The texts of a form, by name. */
export function useForm<Values extends Readonly<Record<string, string>>>(first: Values) {
  const values = useSignal(first);
  return {
    values: values.value,
    /** For a field: its value, and where it goes. */
    bind: (name: keyof Values) => ({
      value: values.value[name] ?? '',
      onValue: (value: string) => {
        values.value = { ...values.peek(), [name]: value };
      },
    }),
  };
}

/** What a datetime-local field holds as the API wants it; null where it holds nothing. */
export function timeOf(local: string): string | null {
  const ms = Date.parse(local);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
