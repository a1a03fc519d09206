// A span of time to be asked for: typed as one says it (`1h 30m`), or taken from a few that are common. The screen holds
// the text; `durationFault` says what is wrong with it.
import { countOf, formatMinutes, parseMinutes } from '../format.ts';
import { TextField } from './fields.tsx';

interface DurationFieldProps {
  readonly label: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly maxMinutes: number | undefined;
  readonly error?: string | undefined;
  readonly isRequired?: boolean;
}

export const commonMinutes = [30, 60, 240, 480, 1_440, 10_080];

export function DurationField({ maxMinutes, ...field }: DurationFieldProps) {
  const offered = commonMinutes
    .filter((minutes) => maxMinutes === undefined || minutes <= maxMinutes)
    .slice(-4);
  const hint =
    maxMinutes === undefined
      ? 'For example 1h 30m'
      : `For example 1h 30m; at most ${formatMinutes(maxMinutes)}`;
  return (
    <div>
      <TextField {...field} hint={hint} />
      <div class="chips">
        {offered.map((minutes) => (
          <button
            key={minutes}
            type="button"
            class="chip"
            aria-pressed={parseMinutes(field.value) === minutes}
            onClick={() => field.onValue(formatMinutes(minutes))}
          >
            {formatMinutes(minutes)}
          </button>
        ))}
      </div>
    </div>
  );
}

/** What is wrong with a typed duration, or undefined. Whether the API takes it is the API's to say. */
export function durationFault(text: string, maxMinutes: number | undefined): string | undefined {
  const minutes = parseMinutes(text);
  if (minutes === undefined) return 'Write a duration like 1h 30m, 45m or 2d.';
  if (maxMinutes !== undefined && minutes > maxMinutes)
    return `At most ${formatMinutes(maxMinutes)} for this type.`;
  if (minutes < 0.1) return `At least ${countOf(6, 'second')}.`;
  return undefined;
}
