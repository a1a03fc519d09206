// Form fields: each with a label, a hint and an error that are tied to it for a screen reader. They are controlled: the
// screen holds the value. FieldFrame is for controls of your own.
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface FrameProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly error?: string | undefined;
  readonly isRequired?: boolean;
  /** The label is only spoken. */
  readonly isLabelHidden?: boolean;
}

interface Wiring {
  readonly id: string;
  readonly 'aria-describedby': string | undefined;
  readonly 'aria-invalid': boolean;
  readonly required: boolean;
}

export function FieldFrame(props: FrameProps & { readonly children: (wiring: Wiring) => ComponentChildren }) {
  const { label, hint, error, isRequired = false, isLabelHidden = false, children } = props;
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div class="field">
      <label for={id} class={isLabelHidden ? 'spoken' : ''}>
        {label}
        {!isRequired && !isLabelHidden && <span class="optional"> optional</span>}
      </label>
      {children({
        id,
        'aria-describedby': described || undefined,
        'aria-invalid': error !== undefined,
        required: isRequired,
      })}
      {hint && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} class="field-error">
          {error}
        </p>
      )}
    </div>
  );
}

interface ValueProps extends FrameProps {
  readonly value: string;
  readonly onValue: (value: string) => void;
}

interface TextFieldProps extends ValueProps {
  readonly type?: 'text' | 'password' | 'search' | 'email' | 'number' | 'datetime-local';
  readonly placeholder?: string;
  readonly autocomplete?: string;
  readonly isMono?: boolean;
}

export function TextField({
  value,
  onValue,
  type = 'text',
  placeholder,
  autocomplete,
  isMono,
  ...frame
}: TextFieldProps) {
  return (
    <FieldFrame {...frame}>
      {(wiring) => (
        <input
          {...wiring}
          class={isMono ? 'input mono' : 'input'}
          type={type}
          value={value}
          placeholder={placeholder}
          autocomplete={autocomplete ?? 'off'}
          spellcheck={false}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </FieldFrame>
  );
}

interface AreaFieldProps extends ValueProps {
  readonly rows: number;
  readonly placeholder?: string;
  readonly isMono?: boolean;
}

export function AreaField({ value, onValue, rows, placeholder, isMono, ...frame }: AreaFieldProps) {
  return (
    <FieldFrame {...frame}>
      {(wiring) => (
        <textarea
          {...wiring}
          class={isMono ? 'input mono' : 'input'}
          rows={rows}
          value={value}
          placeholder={placeholder}
          spellcheck={!isMono}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </FieldFrame>
  );
}

interface SelectFieldProps extends ValueProps {
  readonly options: readonly (readonly [value: string, label: string])[];
}

export function SelectField({ value, onValue, options, ...frame }: SelectFieldProps) {
  return (
    <FieldFrame {...frame}>
      {(wiring) => (
        <select
          {...wiring}
          class="input select"
          value={value}
          onChange={(event) => onValue(event.currentTarget.value)}
        >
          {options.map(([option, label]) => (
            <option key={option} value={option}>
              {label}
            </option>
          ))}
        </select>
      )}
    </FieldFrame>
  );
}

interface CheckFieldProps {
  readonly label: ComponentChildren;
  readonly checked: boolean;
  readonly onChecked: (checked: boolean) => void;
  /** Drawn as a switch: it takes effect at once. */
  readonly isSwitch?: boolean;
}

export function CheckField({ label, checked, onChecked, isSwitch = false }: CheckFieldProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        class={isSwitch ? 'switch' : 'checkbox'}
        role={isSwitch ? 'switch' : undefined}
        checked={checked}
        onChange={(event) => onChecked(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
