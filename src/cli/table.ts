// Tables that fit: on a terminal no line is wider than it, so that none wraps. What matters least gives way first: it
// is cut to its least width, and left out when that is not enough. Piped output is never cut.
import type { Paint } from './output.ts';
import { cut, textWidth } from './width.ts';

/** What results are shown on. */
export interface Look {
  readonly paint: Paint;
  /** The width of the terminal; undefined where the output is none. */
  readonly columns: number | undefined;
}

/** A heading alone never gives way. */
export type Column = string | Yielding;

interface Yielding {
  readonly title: string;
  /** Who gives way first: the highest. */
  readonly yields: number;
  /** The narrowest it is cut to before it is left out; without, it is shown whole or not at all. */
  readonly least?: number;
}

const gap = '  ';

/**
 * Rows under headings, padded to the widest cell of each column; the last column is not padded.
 * @param rows have a cell for each column
 */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], look: Look): string {
  const headings = columns.map((column) => look.paint('bold', titleOf(column)));
  const lines = [headings, ...rows];
  const natural = columns.map((_, at) => Math.max(...lines.map((line) => textWidth(line[at] ?? ''))));
  const widths = look.columns === undefined ? natural : fitted(columns, natural, look.columns);
  const shown = widths.flatMap((width, at) => (width === 0 && natural[at] !== 0 ? [] : [at]));
  const drawn = lines.map((line) =>
    shown
      .map((at, place) => {
        const width = widths[at] ?? 0;
        const cell = cut(line[at] ?? '', width);
        return place === shown.length - 1 ? cell : cell + ' '.repeat(width - textWidth(cell));
      })
      .join(gap)
      .trimEnd(),
  );
  // What never gives way may still be wider than a very narrow terminal.
  const max = look.columns;
  return (max === undefined ? drawn : drawn.map((line) => cut(line, max))).join('\n');
}

function titleOf(column: Column): string {
  return typeof column === 'string' ? column : column.title;
}

/** The widths that fit into `columns`; 0 for a column that is left out. */
function fitted(columns: readonly Column[], natural: readonly number[], max: number): readonly number[] {
  const order = columns
    .flatMap((column, at) => (typeof column === 'string' ? [] : [{ ...column, at }]))
    .sort((a, b) => b.yields - a.yields);
  for (let dropped = 0; ; dropped += 1) {
    const widths = [...natural];
    for (const { at } of order.slice(0, dropped)) widths[at] = 0;
    for (const { at, least } of order.slice(dropped)) {
      const over = takenBy(widths) - max;
      const width = widths[at] ?? 0;
      if (over > 0 && least !== undefined) widths[at] = Math.max(Math.min(width, least), width - over);
    }
    if (takenBy(widths) <= max || dropped === order.length) return widths;
  }
}

function takenBy(widths: readonly number[]): number {
  const shown = widths.filter((width) => width > 0);
  return shown.reduce((sum, width) => sum + width, 0) + gap.length * Math.max(0, shown.length - 1);
}
