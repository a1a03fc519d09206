// Log lines as CSV (RFC 4180). Pure. A field that a spreadsheet would take for a formula gets an apostrophe in front:
// log lines are written by others.
import type { LogLineView } from './contract.ts';

export const csvHead = 'timestamp,level,source,seq,message,metadata\r\n';

/** One line of CSV. */
export function csvOf(line: LogLineView): string {
  const fields = [
    line.timestamp,
    line.level,
    line.source,
    String(line.seq),
    line.message,
    JSON.stringify(line.metadata),
  ];
  return `${fields.map(csvField).join(',')}\r\n`;
}

export function csvField(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
