// Numbers, spans and times as people read them. Pure.

const two = (value: number): string => String(value).padStart(2, '0');

/** The two largest units of a span: `2d 3h`, `1h 05m`, `27m 14s`, `9s`. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h ${two(Math.floor((seconds % 3_600) / 60))}m`;
  return `${Math.floor(seconds / 86_400)}d ${Math.floor((seconds % 86_400) / 3_600)}h`;
}

/** How long ago, roughly: `just now`, `4 min ago`, `3 h ago`, `2 d ago`. */
export function formatAgo(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ago`;
  return `${Math.floor(minutes / 1_440)} d ago`;
}

/** `84 MB`, `1.2 GB`; powers of 1000, as disks and ps count. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let at = 0;
  while (value >= 1_000 && at < units.length - 1) {
    value /= 1_000;
    at += 1;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

export function formatPercent(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** A span of minutes in words of a form: `30 min`, `8 h`, `1 h 30 min`, `2 d`. */
export function formatMinutes(minutes: number): string {
  if (minutes < 60) return `${Math.round(minutes * 10) / 10} min`;
  if (minutes % 1_440 === 0) return `${minutes / 1_440} d`;
  const rest = Math.round(minutes % 60);
  return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

const unitMinutes: Readonly<Record<string, number>> = { d: 1_440, h: 60, m: 1, min: 1, s: 1 / 60 };

/**
 * Reads `1h`, `90m`, `1h 30m`, `1.5 h`, `2d`; a plain number is minutes.
 * @returns minutes, or undefined for what is no duration
 */
export function parseMinutes(text: string): number | undefined {
  const wish = text.trim().toLowerCase();
  if (/^\d+(?:\.\d+)?$/.test(wish)) return Number(wish) || undefined;
  if (!/^(?:\d+(?:\.\d+)?\s*(?:d|h|min|m|s)\s*)+$/.test(wish)) return undefined;
  const parts = [...wish.matchAll(/(\d+(?:\.\d+)?)\s*(d|h|min|m|s)/g)];
  const minutes = parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (unitMinutes[unit ?? ''] ?? 0),
    0,
  );
  return minutes > 0 ? minutes : undefined;
}

/** `1 instance`, `3 instances`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
