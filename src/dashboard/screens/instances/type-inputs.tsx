// The fields a type asks for: a choice for choices, text otherwise. Secrets are not among them: they are stored as API
// keys, never typed into an instance.
import type { McpTypeView } from '../../../api/contract.ts';
import type { ApiProblem } from '../../api/problem.ts';
import { SelectField, TextField } from '../../components/fields.tsx';

type Input = McpTypeView['inputs'][number];
type Values = Readonly<Record<string, string>>;

interface TypeInputsProps {
  readonly type: McpTypeView;
  readonly values: Values;
  /** By input, what is wrong with it. */
  readonly faults: Values;
  readonly onValue: (input: string, value: string) => void;
}

const typed = (type: McpTypeView): readonly Input[] =>
  type.inputs.filter(({ is_secret: isSecret }) => !isSecret);
const valueFor = (input: Input, values: Values): string => values[input.name] ?? input.default ?? '';

export function TypeInputs({ type, values, faults, onValue }: TypeInputsProps) {
  return typed(type).map((input) => {
    const field = {
      label: input.name,
      hint: input.description,
      isRequired: input.is_required,
      value: valueFor(input, values),
      onValue: (value: string) => onValue(input.name, value),
      error: faults[`input ${input.name}`],
    };
    if (input.choices === undefined) return <TextField key={input.name} {...field} />;
    const none = input.default === undefined || !input.is_required ? [['', '–'] as const] : [];
    return (
      <SelectField
        key={input.name}
        {...field}
        options={[...none, ...input.choices.map((choice) => [choice, choice] as const)]}
      />
    );
  });
}

/** What is missing, by `input NAME`. */
export function faultsOf(type: McpTypeView, values: Values): Values {
  const missing = typed(type).filter((input) => input.is_required && valueFor(input, values).trim() === '');
  return Object.fromEntries(missing.map(({ name }) => [`input ${name}`, `${name} is needed.`]));
}

/** What the API refused, by `input NAME`. */
export function refusalsOf(type: McpTypeView, problem: ApiProblem | undefined): Values {
  return Object.fromEntries(
    typed(type).flatMap(({ name }) => {
      const message =
        problem?.fieldMessage(`/config/environment/${name}`) ??
        problem?.fieldMessage(`/config/arguments/${name}`);
      return message === undefined ? [] : [[`input ${name}`, message]];
    }),
  );
}

/** What to send: only what was typed, so that the defaults stay the type's. */
export function valuesOf(type: McpTypeView, values: Values): Values {
  return Object.fromEntries(
    typed(type).flatMap(({ name, default: fallback }) => {
      const value = values[name];
      return value === undefined || value === '' || value === fallback ? [] : [[name, value]];
    }),
  );
}
