// Where the lines of a plot stand: scales that end at round numbers, times at round hours, and the course as a path. Pure.
// A plot is 1000 by 100 units, whatever its size on the screen.
import type { Span } from './course.ts';

/** A mark of an axis: where, from 0 to 1, and of what. */
export interface Mark {
  readonly at: number;
  readonly value: number;
}

const marksMax = 5;
const minuteS = 60;
const hourS = 3_600;
const dayS = 86_400;
const timeSteps = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * minuteS),
  ...[1, 2, 3, 6, 12].map((hours) => hours * hourS),
  ...[1, 2, 5, 10, 20, 50, 100].map((days) => days * dayS),
];

/** Marks from 0 up to a round number at or above `most`, at even steps of 1, 2 or 5. */
export function valueMarks(most: number): readonly Mark[] {
  const rough = most / (marksMax - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10);
  const count = Math.ceil(most / step);
  return Array.from({ length: count + 1 }, (_, nth) => ({ at: nth / count, value: nth * step }));
}

/** Marks at round times of the reader's clock. */
export function timeMarks({ from, to }: Span): readonly Mark[] {
  const step = timeSteps.find((seconds) => (to - from) / seconds <= marksMax) ?? (to - from) / marksMax;
  const offset = new Date(from * 1_000).getTimezoneOffset() * minuteS;
  const first = Math.ceil((from - offset) / step) * step + offset;
  const count = Math.max(0, Math.floor((to - first) / step) + 1);
  return Array.from({ length: count }, (_, nth) => first + nth * step).map((value) => ({
    at: placeOf(value, { from, to }),
    value,
  }));
}

/** From 0 at the beginning of a span to 1 at its end. */
export function placeOf(seconds: number, { from, to }: Span): number {
  return to > from ? (seconds - from) / (to - from) : 1;
}

/** The course as the `d` of a path; lifted anew after each hole. A measurement all alone is a dot of no length. */
export function pathOf(
  at: readonly number[],
  values: readonly (number | null)[],
  { span, top }: { readonly span: Span; readonly top: number },
): string {
  let isDrawing = false;
  return values
    .map((value, index) => {
      const command = isDrawing ? 'L' : 'M';
      const isAlone = !isDrawing && (values[index + 1] ?? null) === null;
      isDrawing = value !== null;
      if (value === null) return '';
      const x = (placeOf(at[index] ?? 0, span) * 1_000).toFixed(1);
      const y = (100 - (value / top) * 100).toFixed(1);
      return `${command}${x} ${y}${isAlone ? `L${x} ${y}` : ''}`;
    })
    .join('');
}

/** The index of the measurement nearest to a place. */
export function nearestTo(place: number, at: readonly number[], span: Span): number {
  const wanted = span.from + place * (span.to - span.from);
  return at.reduce(
    (best, seconds, index) =>
      Math.abs(seconds - wanted) < Math.abs((at[best] ?? 0) - wanted) ? index : best,
    0,
  );
}
