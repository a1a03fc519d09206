// The text of a log line as it may be shown: written by others, so with no escape that a terminal would obey. Pure.

const esc = String.fromCharCode(27);
/** CSI and OSC sequences, and other escapes of two characters. */
const sequences = new RegExp(
  `\\x9b[0-?]*[ -/]*[@-~]|${esc}(?:\\[[0-?]*[ -/]*[@-~]|\\][^\\x07${esc}]*(?:\\x07|${esc}\\\\)?|[@-Z\\\\-_]?)`,
  'g',
);
/** Control characters but tab and line break, and what turns the direction of text, which could disguise it. */
const hidden = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/gu;

/** Without colours and other escapes. */
export function plainText(message: string): string {
  return message.replace(sequences, '').replace(hidden, '');
}

/** On one line, and not longer than anybody reads sideways. */
export function oneLine(message: string): string {
  return plainText(message.slice(0, 4_000)).replace(/\n/g, ' ↵ ');
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `14:03:27.120` in the reader's own time. */
export function clockOf(timestamp: string): string {
  const at = new Date(timestamp);
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}
