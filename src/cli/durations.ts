// Durations as people write and read them. Pure. Refuses what it cannot read with the forms that it can; whether a
// duration is allowed for a type is the API's to say.
import { Fault } from '../base/errors.ts';

const unitMinutes: Readonly<Record<string, number>> = { d: 1_440, h: 60, m: 1, s: 1 / 60 };

/**
 * Reads `1h`, `90m`, `30s`, `1h30m`, `1.5h`, `2d`; a plain number is minutes.
 * @returns minutes, more than 0
 * @throws Fault malformed_request
 */
export function parseMinutes(text: string): number {
  const wish = text.trim().toLowerCase();
  const minutes = /^\d+(?:\.\d+)?$/.test(wish) ? Number(wish) : sumOfParts(wish);
  if (minutes === undefined || !Number.isFinite(minutes)) {
    throw new Fault(
      'malformed_request',
      `"${text}" is not a duration: write 1h, 90m, 30s, 1h30m, 2d, or plain minutes`,
    );
  }
  if (minutes <= 0) throw new Fault('malformed_request', `"${text}" is no time at all: ask for more than 0`);
  // Sums of sixtieths are not exact; a millionth of a minute is below every clock involved.
  return Math.round(minutes * 1e6) / 1e6;
}

function sumOfParts(wish: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?[dhms])+$/.test(wish)) return undefined;
  const parts = [...wish.matchAll(/(\d+(?:\.\d+)?)([dhms])/g)];
  const units = parts.map((part) => 'dhms'.indexOf(part[2] ?? ''));
  // 30s1h and 1h1h are slips more often than wishes.
  if (units.some((unit, i) => i > 0 && unit <= (units[i - 1] ?? -1))) return undefined;
  return parts.reduce((sum, part) => sum + Number(part[1]) * (unitMinutes[part[2] ?? ''] ?? Number.NaN), 0);
}

/** The two largest units of a span: `2d 3h`, `1h 05m`, `27m 14s`, `9s`. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const two = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h ${two(Math.floor((seconds % 3_600) / 60))}m`;
  return `${Math.floor(seconds / 86_400)}d ${Math.floor((seconds % 86_400) / 3_600)}h`;
}

/**
 * A time relative to the server's own: `in 27m 14s`, `9s ago`. The caller's clock never enters into it.
 * @param time RFC 3339, or null for a dash
 * @param serverTime RFC 3339, from the same answer
 */
export function relative(time: string | null, serverTime: string): string {
  if (time === null) return '-';
  const ms = Date.parse(time) - Date.parse(serverTime);
  if (Number.isNaN(ms)) return '-';
  return ms >= 0 ? `in ${formatSpan(ms)}` : `${formatSpan(-ms)} ago`;
}
