// A page of lines among many that do not match: look after look until the page is full, the log is read to its end, or
// the time is used up. Whoever asked goes on from where this stopped.
import { monotonicMs } from '../base/clock.ts';
import type { LogFinds, LogPlace } from '../db/queries/log-looks.ts';
import type { LogRow } from '../db/queries/logs.ts';

/** After so long a page is answered with what there is, milliseconds. */
const pageMsMax = 1_000;

export interface FindOptions {
  readonly after: LogPlace | null;
  readonly limit: number;
  /** Aborts when nobody waits for the page any more. */
  readonly signal: AbortSignal;
  /** One statement of its own: no transaction is held from one to the next. */
  readonly look: (after: LogPlace | null, limit: number) => Promise<LogFinds>;
}

/** @returns the lines, and where to go on; null when there is nothing behind them */
export async function findLines(options: FindOptions): Promise<{ rows: LogRow[]; next: LogPlace | null }> {
  const { limit, signal, look } = options;
  const deadlineMs = monotonicMs() + pageMsMax;
  const rows: LogRow[] = [];
  for (let { after } = options; ; ) {
    // One more than is shown tells whether there is a next page.
    const found = await look(after, limit + 1 - rows.length);
    rows.push(...found.rows);
    const last = rows.length > limit ? rows[limit - 1] : undefined;
    if (last !== undefined)
      return { rows: rows.slice(0, limit), next: { sortKey: last.sort_key, id: last.id } };
    if (!found.more) return { rows, next: null };
    after = found.seen;
    if (signal.aborted || monotonicMs() >= deadlineMs) return { rows, next: after };
  }
}
