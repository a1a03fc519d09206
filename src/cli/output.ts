// What people see: key-value lists, colour, sizes (tables are in table.ts). Colour only where the stream is a terminal,
// or was told to. Text from servers is shown without control characters: a log line must not be able to move the
// reader's cursor.
import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** Colours text for one stream, or leaves it alone. */
export type Paint = (format: Format, text: string) => string;

type Env = Readonly<Record<string, string | undefined>>;

/** Whether somebody looks at this stream as it is written. */
export function isTerminal(stream: NodeJS.ReadableStream | NodeJS.WritableStream): boolean {
  return 'isTTY' in stream && stream.isTTY === true;
}

/** Whether what stands on this stream can be written over: a terminal, and none that says it is dumb. */
export function canRedraw(stream: NodeJS.WritableStream, env: Env): boolean {
  return isTerminal(stream) && env.TERM !== 'dumb';
}

/** The width of the terminal that `stream` is; undefined where it is none, or does not say. */
export function columnsOf(stream: NodeJS.WritableStream): number | undefined {
  const columns = isTerminal(stream) && 'columns' in stream ? Number(stream.columns) : 0;
  return columns > 0 ? columns : undefined;
}

/** A painter for `stream`. FORCE_COLOR decides before NO_COLOR, as it does for Node itself; else a terminal does. */
export function painter(stream: NodeJS.WritableStream, env: Env): Paint {
  const wantsColour = (): boolean => {
    if (env.FORCE_COLOR !== undefined) return !['0', 'false'].includes(env.FORCE_COLOR);
    if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
    return canRedraw(stream, env);
  };
  const colour = wantsColour();
  return (format, text) => (colour ? styleText(format, text, { validateStream: false }) : text);
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

/** `key  value` lines, further lines of a value below its first; entries whose value is null are left out. */
export function pairs(entries: readonly (readonly [string, string | null])[], paint: Paint): string {
  const shown = entries.filter((entry): entry is readonly [string, string] => entry[1] !== null);
  const keyWidth = Math.max(0, ...shown.map(([key]) => key.length));
  const indent = `\n${' '.repeat(keyWidth + 2)}`;
  return shown
    .map(([key, value]) => `${paint('dim', key.padEnd(keyWidth))}  ${value.replaceAll('\n', indent)}`)
    .join('\n');
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
