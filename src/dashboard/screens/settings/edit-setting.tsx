// Changes one setting in its row. What it may be is the daemon's to say: its refusal stands at the field.
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { SettingView } from '../../../api/contract.ts';
import { isolationLevels } from '../../../domain/instance.ts';
import { send } from '../../api/client.ts';
import { useAction } from '../../components/action.ts';
import { Button } from '../../components/button.tsx';
import { SelectField, TextField } from '../../components/fields.tsx';
import { useForm } from '../../components/form-dialog.tsx';
import { say } from '../../toasts.ts';
import { typedValue, unitOf } from './setting-words.ts';

interface EditSettingProps {
  readonly setting: SettingView;
  readonly onSaved: () => void;
  readonly onClose: () => void;
}

/** Settings that are a choice. */
const choices: Readonly<Record<string, readonly string[]>> = { 'mcp.min_isolation': isolationLevels };

export function EditSetting({ setting, onSaved, onClose }: EditSettingProps) {
  const { key, value } = setting;
  const { bind, values } = useForm({ value: typeof value === 'string' ? value : JSON.stringify(value) });
  const action = useAction();
  const form = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => form.current?.querySelector<HTMLElement>('input, select')?.focus(), []);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const body = { value: typedValue(values.value, value) };
    if (!(await action.run(() => send('PUT', `/settings/${encodeURIComponent(key)}`, body)))) return;
    say(`${key} is changed`);
    onSaved();
  };
  const { problem } = action;
  const unit = unitOf(key);
  const field = {
    ...bind('value'),
    label: unit === undefined ? 'Value' : `Value, in ${unit}`,
    isRequired: true,
    error: problem && (problem.fieldMessage('/value') ?? `${problem.title}. ${problem.remedy}`),
  };
  const offered = choices[key];
  return (
    <form
      ref={form}
      class="setting-form"
      noValidate
      aria-label={key}
      onSubmit={save}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      {offered ? (
        <SelectField {...field} options={offered.map((choice) => [choice, choice])} />
      ) : (
        <TextField {...field} />
      )}
      <div class="page-actions">
        <Button kind="primary" type="submit" isBusy={action.isBusy}>
          Save
        </Button>
        <Button onClick={onClose}>Cancel</Button>
      </div>
    </form>
  );
}
