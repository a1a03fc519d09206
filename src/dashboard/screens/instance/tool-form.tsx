// Tries one tool: what it wants to be told, each in the field that suits it, and what it answered.
import { useSignal } from '@preact/signals';
import type { InstanceView, ToolResultView, ToolView } from '../../../api/contract.ts';
import { send } from '../../api/client.ts';
import { useAction } from '../../components/action.ts';
import { Button } from '../../components/button.tsx';
import { FieldFrame, SelectField, TextField } from '../../components/fields.tsx';
import { ErrorNotice, Notice } from '../../components/notices.tsx';
import { may } from '../../session-state.ts';
import { argumentsOf, type Filled, fieldsOf, isObject, parseJson, type SchemaField } from './schema-form.ts';
import { ToolResult } from './tool-result.tsx';

interface ToolFormProps {
  readonly instance: InstanceView;
  readonly tool: ToolView;
}

/** The name of the one field of a schema that makes no form. */
const whole = 'arguments';

export function ToolForm({ instance, tool }: ToolFormProps) {
  const fields = fieldsOf(tool.input_schema);
  const typed = useSignal<Readonly<Record<string, string>>>({});
  const faults = useSignal<Filled['faults']>({});
  const answer = useSignal<ToolResultView | undefined>(undefined);
  const action = useAction();
  const submit = (event: Event): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const filled =
      fields === undefined ? wholeOf(typed.value[whole] ?? '{}') : argumentsOf(fields, typed.value);
    faults.value = filled.faults;
    if (Object.keys(filled.faults).length > 0) {
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      return;
    }
    const path = `/instances/${instance.id}/tools/${encodeURIComponent(tool.name)}/call`;
    action.run(async () => {
      answer.value = undefined;
      answer.value = await send<ToolResultView>('POST', path, { arguments: filled.arguments });
    });
  };
  const draw = (field: SchemaField) => (
    <Field
      key={field.name}
      field={field}
      value={typed.value[field.name] ?? field.start}
      error={faults.value[field.name]}
      onValue={(value) => {
        typed.value = { ...typed.value, [field.name]: value };
      }}
    />
  );
  return (
    <section class="tool">
      <h2>{tool.title ?? tool.name}</h2>
      {tool.title && <p class="mono small">{tool.name}</p>}
      {tool.description && <p class="lead">{tool.description}</p>}
      {may('instances:write') ? (
        <form noValidate onSubmit={submit}>
          {(fields ?? [wholeField]).map(draw)}
          <div>
            <Button kind="primary" type="submit" isBusy={action.isBusy}>
              Call it
            </Button>
          </div>
        </form>
      ) : (
        <Notice>Calling it takes a login with the scope instances:write.</Notice>
      )}
      {action.problem && <ErrorNotice problem={action.problem} what="It was not called" />}
      <div aria-live="polite">{answer.value && <ToolResult answer={answer.value} />}</div>
    </section>
  );
}

const wholeField: SchemaField = {
  ...{ name: whole, kind: 'json', isRequired: true, choices: [], start: '{}', isInteger: false },
  hint: 'What this tool takes does not fit a form: write it as one JSON object.',
};

function wholeOf(text: string): Filled {
  const { value, fault } = parseJson(text);
  if (isObject(value)) return { arguments: value, faults: {} };
  return { arguments: {}, faults: { [whole]: fault ?? 'Write a JSON object: {"name": "value"}.' } };
}

interface FieldProps {
  readonly field: SchemaField;
  readonly value: string;
  readonly error: string | undefined;
  readonly onValue: (value: string) => void;
}

function Field({ field, value, error, onValue }: FieldProps) {
  const { name: label, hint, isRequired, kind, choices } = field;
  const frame = { label, hint, isRequired, error };
  if (kind === 'choice' || kind === 'boolean') {
    const offered = kind === 'boolean' ? ['true', 'false'] : choices;
    const options = offered.map((choice) => [choice, choice.replace(/^"(.*)"$/, '$1')] as const);
    return <SelectField {...frame} value={value} onValue={onValue} options={[['', '–'], ...options]} />;
  }
  if (kind === 'number') return <TextField {...frame} type="number" value={value} onValue={onValue} />;
  return (
    <FieldFrame {...frame}>
      {(wiring) => (
        <textarea
          {...wiring}
          class={kind === 'json' ? 'input mono' : 'input'}
          rows={kind === 'json' ? 4 : 1}
          spellcheck={false}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </FieldFrame>
  );
}
