// The recent course of one figure, as small as a word, with its newest value in words beside it. Own SVG: a library for
// big plots would cost more than the whole table.

interface SparklineProps {
  /** Oldest first; null where nothing was measured. */
  readonly values: readonly (number | null)[];
  /** What it is: "CPU". */
  readonly label: string;
  readonly format: (value: number) => string;
  /** The top of the scale is never below this, so that noise stays small. */
  readonly topMin: number;
}

const width = 56;
const height = 16;

export function Sparkline({ values, label, format, topMin }: SparklineProps) {
  const known = values.filter((value) => value !== null);
  const newest = known.at(-1);
  if (newest === undefined) return <span class="faint">–</span>;
  const peak = Math.max(...known);
  return (
    <span class="spark">
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${label}, at most ${format(peak)} lately`}
      >
        <path d={lineOf(values, Math.max(peak, topMin))} />
      </svg>
      <span>{format(newest)}</span>
    </span>
  );
}

function lineOf(values: readonly (number | null)[], top: number): string {
  const step = values.length > 1 ? width / (values.length - 1) : width;
  let isDrawing = false;
  return values
    .map((value, at) => {
      const command = isDrawing ? 'L' : 'M';
      isDrawing = value !== null;
      if (value === null) return '';
      return `${command}${(at * step).toFixed(1)} ${(height - 1.5 - (value / top) * (height - 3)).toFixed(1)}`;
    })
    .join('');
}
