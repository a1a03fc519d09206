// Changes what an admin may say of a type. What runs already goes on as it began.
import { useSignal } from '@preact/signals';
import { changeType, type TypeView } from '../../api/type-actions.ts';
import { DurationField, durationFault } from '../../components/duration-field.tsx';
import { AreaField, TextField } from '../../components/fields.tsx';
import { FormDialog, useForm } from '../../components/form-dialog.tsx';
import { formatMinutes, parseMinutes } from '../../format.ts';
import { say } from '../../toasts.ts';

export function EditType({ type, onClose }: { readonly type: TypeView; readonly onClose: () => void }) {
  const { bind, values } = useForm({
    name: type.display_name,
    description: type.description ?? '',
    lease: formatMinutes(type.max_duration_minutes),
    idle: type.idle_minutes === null ? '' : formatMinutes(type.idle_minutes),
  });
  const faults = useSignal<Readonly<Record<string, string | undefined>>>({});
  const check = (): boolean => {
    faults.value = {
      name: values.name.trim() === '' ? 'Give it a name.' : undefined,
      lease: durationFault(values.lease, undefined),
      idle: values.idle.trim() === '' ? undefined : durationFault(values.idle, undefined),
    };
    return Object.values(faults.value).every((fault) => fault === undefined);
  };
  const send = async (): Promise<void> => {
    const idle = values.idle.trim() === '' ? null : Math.ceil(parseMinutes(values.idle) ?? 1);
    const description = values.description.trim();
    await changeType(type.name, {
      display_name: values.name.trim(),
      max_duration_minutes: Math.ceil(parseMinutes(values.lease) ?? 1),
      idle_minutes: idle,
      ...(description === (type.description ?? '') ? {} : { description }),
    });
    say(`${values.name.trim()} is changed`);
  };
  return (
    <FormDialog
      title={`Edit ${type.display_name}`}
      verb="Save"
      onCheck={check}
      onSend={send}
      onClose={onClose}
    >
      {(problem) => (
        <>
          <TextField
            label="Name for people"
            isRequired
            {...bind('name')}
            error={faults.value.name ?? problem?.fieldMessage('/display_name')}
          />
          <AreaField
            label="Description"
            rows={3}
            {...bind('description')}
            error={problem?.fieldMessage('/description')}
          />
          <DurationField
            label="Longest lease"
            isRequired
            {...bind('lease')}
            maxMinutes={undefined}
            error={faults.value.lease ?? problem?.fieldMessage('/max_duration_minutes')}
          />
          <TextField
            label="Sleeps when idle for"
            placeholder="never"
            {...bind('idle')}
            hint="The next request wakes it"
            error={faults.value.idle ?? problem?.fieldMessage('/idle_minutes')}
          />
        </>
      )}
    </FormDialog>
  );
}
