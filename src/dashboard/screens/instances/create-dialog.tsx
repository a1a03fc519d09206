// Asks for a new instance: a form drawn from what the chosen type wants to be told, and then, once, its URL and token.
import { useSignal } from '@preact/signals';
import type { InstanceWithToken, McpTypeView } from '../../../api/contract.ts';
import { create, type NewInstance } from '../../api/instance-actions.ts';
import { useAction } from '../../components/action.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { DurationField, durationFault } from '../../components/duration-field.tsx';
import { SelectField, TextField } from '../../components/fields.tsx';
import { EmptyState, ErrorNotice, ReadingView } from '../../components/notices.tsx';
import { formatMinutes, parseMinutes } from '../../format.ts';
import type { Reading } from '../../reading.ts';
import { linkIfThere } from '../../router.ts';
import { Created } from './created.tsx';
import { KeyNotice } from './key-notice.tsx';
import { faultsOf, refusalsOf, TypeInputs, valuesOf } from './type-inputs.tsx';

interface CreateDialogProps {
  readonly types: Reading<readonly McpTypeView[]>;
  /** A type's name, to begin with; any other text begins with the first. */
  readonly wanted: string | undefined;
  readonly onClose: () => void;
}

export function CreateDialog({ types, wanted, onClose }: CreateDialogProps) {
  const created = useSignal<InstanceWithToken | undefined>(undefined);
  if (created.value) return <Created instance={created.value} onClose={onClose} />;
  return (
    <Dialog title="New instance" onClose={onClose} isSticky>
      <ReadingView reading={types} what="The types">
        {(all) => {
          const offered = all.filter(({ is_active: isOn, available }) => isOn && available);
          if (offered.length === 0) return <NoType />;
          return (
            <CreateForm
              types={offered}
              wanted={wanted}
              onClose={onClose}
              onCreated={(instance) => {
                created.value = instance;
              }}
            />
          );
        }}
      </ReadingView>
    </Dialog>
  );
}

function NoType() {
  const href = linkIfThere('/types');
  return (
    <EmptyState title="No type can be asked for.">
      <p>
        An admin can switch one on{href ? <a href={href}> among the types</a> : ': minimcp types enable NAME'}
        .
      </p>
    </EmptyState>
  );
}

interface CreateFormProps {
  readonly types: readonly McpTypeView[];
  readonly wanted: string | undefined;
  readonly onClose: () => void;
  readonly onCreated: (instance: InstanceWithToken) => void;
}

function CreateForm({ types, wanted, onClose, onCreated }: CreateFormProps) {
  const first = types.find(({ name }) => name === wanted) ?? types[0];
  const typeName = useSignal(first?.name ?? '');
  const name = useSignal('');
  const duration = useSignal('1 h');
  const idle = useSignal('');
  const inputs = useSignal<Readonly<Record<string, string>>>({});
  const faults = useSignal<Readonly<Record<string, string>>>({});
  const action = useAction();
  const type = types.find((each) => each.name === typeName.value);
  if (type === undefined) return null;
  const { problem } = action;

  const check = (): boolean => {
    const duration_ = durationFault(duration.value, type.max_duration_minutes);
    const idle_ = idle.value.trim() === '' ? undefined : durationFault(idle.value, undefined);
    faults.value = {
      ...faultsOf(type, inputs.value),
      ...(duration_ === undefined ? {} : { duration: duration_ }),
      ...(idle_ === undefined ? {} : { idle: idle_ }),
    };
    return Object.keys(faults.value).length === 0;
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    if (!check()) {
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      return;
    }
    action.run(async () => onCreated(await create(wishOf(type, { name, duration, idle, inputs }))));
  };
  return (
    <form noValidate onSubmit={submit}>
      <div class="dialog-body">
        <SelectField
          label="Type"
          isRequired
          value={type.name}
          options={types.map((each) => [each.name, each.display_name])}
          onValue={(value) => {
            typeName.value = value;
            faults.value = {};
          }}
          hint={type.description}
        />
        {type.needs_api_key && <KeyNotice type={type} />}
        <TypeInputs
          type={type}
          values={inputs.value}
          faults={{ ...refusalsOf(type, problem), ...faults.value }}
          onValue={(input, value) => {
            inputs.value = { ...inputs.value, [input]: value };
          }}
        />
        <DurationField
          label="Lease"
          isRequired
          value={duration.value}
          onValue={(value) => {
            duration.value = value;
          }}
          maxMinutes={type.max_duration_minutes}
          error={faults.value.duration ?? problem?.fieldMessage('/duration_minutes')}
        />
        <div class="field-row">
          <TextField
            label="Name"
            value={name.value}
            onValue={(value) => {
              name.value = value;
            }}
            hint="Lower-case letters, digits, hyphens; one is made up otherwise"
            error={problem?.fieldMessage('/name')}
          />
          <TextField
            label="Sleep when idle for"
            value={idle.value}
            placeholder={type.idle_minutes === null ? 'never' : formatMinutes(type.idle_minutes)}
            onValue={(value) => {
              idle.value = value;
            }}
            hint="The next request wakes it"
            error={faults.value.idle ?? problem?.fieldMessage('/idle_minutes')}
          />
        </div>
        {problem && <ErrorNotice problem={problem} />}
      </div>
      <footer class="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" isBusy={action.isBusy}>
          Ask for it
        </Button>
      </footer>
    </form>
  );
}

interface Typed {
  readonly name: { readonly value: string };
  readonly duration: { readonly value: string };
  readonly idle: { readonly value: string };
  readonly inputs: { readonly value: Readonly<Record<string, string>> };
}

function wishOf(type: McpTypeView, { name, duration, idle, inputs }: Typed): NewInstance {
  const minutes = parseMinutes(duration.value);
  const idleMinutes = parseMinutes(idle.value);
  const config = valuesOf(type, inputs.value);
  return {
    mcp_type: type.name,
    ...(minutes === undefined ? {} : { duration_minutes: minutes }),
    ...(name.value.trim() === '' ? {} : { name: name.value.trim() }),
    ...(idleMinutes === undefined ? {} : { idle_minutes: idleMinutes }),
    ...(Object.keys(config).length === 0 ? {} : { config }),
  };
}
