// One course over time, drawn: in the colours of the theme, as wide as there is room, with the value under the pointer in
// words. It is a picture: what it says stands in a table beside it. Our own SVG: a library for plots would weigh more than
// all screens together.
import { useSignal } from '@preact/signals';
import type { Span } from './course.ts';
import { nearestTo, pathOf, placeOf, timeMarks, valueMarks } from './plot-scale.ts';

interface PlotProps {
  readonly title: string;
  /** Seconds since 1970. */
  readonly at: readonly number[];
  /** null where nothing was measured: the line is broken there. */
  readonly values: readonly (number | null)[];
  readonly span: Span;
  readonly format: (value: number) => string;
  /** The top of the scale is never below this, so that noise stays small. */
  readonly topMin: number;
}

export function Plot({ title, at, values, span, format, topMin }: PlotProps) {
  const pointed = useSignal<number | undefined>(undefined);
  const marks = valueMarks(values.reduce<number>((most, value) => Math.max(most, value ?? 0), topMin));
  const top = marks.at(-1)?.value ?? topMin;
  const times = timeMarks(span);
  const index = pointed.value ?? -1;
  const time = at[index];
  const value = values[index] ?? null;
  const point = (event: PointerEvent): void => {
    const { left, width } = (event.currentTarget as Element).getBoundingClientRect();
    pointed.value = nearestTo((event.clientX - left) / width, at, span);
  };
  return (
    <figure class="plot">
      <figcaption>
        <b>{title}</b>
        {time !== undefined && value !== null && (
          <span aria-hidden="true">
            {format(value)} at {new Date(time * 1_000).toLocaleTimeString()}
          </span>
        )}
      </figcaption>
      <div class="plot-box" aria-hidden="true">
        {marks.map((mark) => (
          <span key={mark.value} class="plot-value" style={{ bottom: `${mark.at * 100}%` }}>
            {format(mark.value)}
          </span>
        ))}
        <svg
          viewBox="0 0 1000 100"
          preserveAspectRatio="none"
          aria-hidden="true"
          onPointerMove={point}
          onPointerLeave={() => {
            pointed.value = undefined;
          }}
        >
          <path
            class="plot-grid"
            d={[
              ...marks.map((mark) => `M0 ${100 - mark.at * 100}H1000`),
              ...times.map((mark) => `M${mark.at * 1_000} 0V100`),
            ].join('')}
          />
          {time !== undefined && <path class="plot-pointer" d={`M${placeOf(time, span) * 1_000} 0V100`} />}
          <path class="plot-line" d={pathOf(at, values, { span, top })} />
        </svg>
        {times.map((mark) => (
          <span key={mark.value} class="plot-time" style={{ left: `${mark.at * 100}%` }}>
            {timeOf(mark.value)}
          </span>
        ))}
      </div>
    </figure>
  );
}

/** As the reader's system writes it: the time, or the day where one begins. */
function timeOf(seconds: number): string {
  const at = new Date(seconds * 1_000);
  return at.getHours() === 0 && at.getMinutes() === 0
    ? at.toLocaleDateString(undefined, { month: 'short', day: 'numeric' })
    : at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}
