// What people see: tables, key-value lists, colour. Colour only where the stream is a terminal that wants it
// (util.styleText knows NO_COLOR). Text from servers is shown without control characters: a log line must not be
// able to move the reader's cursor.
import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** Colours text for one stream, or leaves it alone. */
export type Paint = (format: Format, text: string) => string;

/** A painter for `stream`; plain unless that is a terminal and NO_COLOR is unset. */
export function painter(stream: NodeJS.WritableStream): Paint {
  const colour = 'isTTY' in stream && stream.isTTY === true;
  return (format, text) =>
    colour ? styleText(format, text, { stream: stream as NodeJS.WriteStream }) : text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is its purpose
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Text from elsewhere, safe for a terminal: control characters become a visible mark, tabs and newlines stay. */
export function printable(text: string): string {
  return text.replace(control, '\u{fffd}');
}

/** One line of it. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s+/g, ' ').trim();
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are not to be counted
const styling = /\u001b\[[0-9;]*m/g;

function width(text: string): number {
  return [...text.replace(styling, '')].length;
}

/**
 * Rows under headings, columns padded to the widest cell; the last column is not padded.
 * @param headings one per column; `rows` have as many cells
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string {
  const lines = [headings.map((heading) => paint('bold', heading)), ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ''))));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === line.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - width(cell)),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `key  value` lines; entries whose value is null are left out. */
export function pairs(entries: readonly (readonly [string, string | null])[], paint: Paint): string {
  const shown = entries.filter((entry): entry is readonly [string, string] => entry[1] !== null);
  const keyWidth = Math.max(0, ...shown.map(([key]) => key.length));
  return shown.map(([key, value]) => `${paint('dim', key.padEnd(keyWidth))}  ${value}`).join('\n');
}

const statusFormats: Readonly<Record<string, Format>> = {
  running: 'green',
  pending: 'yellow',
  stopping: 'yellow',
  disconnected: 'yellow',
  error: 'red',
  expired: 'dim',
};

/** A status in the colour it has everywhere. */
export function paintStatus(status: string, paint: Paint): string {
  const format = statusFormats[status];
  return format === undefined ? status : paint(format, status);
}

/** 1536 → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
