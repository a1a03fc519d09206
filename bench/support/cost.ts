// What processes cost while nothing happens: processor time over a window, memory at its end, and the transactions their
// database has made.
import { monotonicMs, sleep } from '../../src/base/clock.ts';
import { withClient } from './database.ts';
import { cpuMs, type Memory, memoryOfAll } from './processes.ts';
import type { Supervisor } from './supervisor.ts';

/** How often processor time is read. */
const lookMs = 2_000;

export interface Cost extends Memory {
  /** Share of one core, percent. */
  readonly cpuPercent: number;
}

/** Processor time over the window, memory at its end. Looked at every so often, since processes come and go. */
export async function costOf<Part extends string>(
  parts: Readonly<Record<Part, () => number[]>>,
  seconds: number,
): Promise<Record<Part, Cost>> {
  const entries = Object.entries(parts) as [Part, () => number[]][];
  const startMs = monotonicMs();
  const meters = entries.map(([, pids]) => createMeter(pids()));
  while (monotonicMs() - startMs < seconds * 1_000) {
    await sleep(Math.min(lookMs, seconds * 1_000));
    for (const [at, [, pids]] of entries.entries()) meters[at]?.look(pids());
  }
  const elapsedMs = monotonicMs() - startMs;
  return Object.fromEntries(
    entries.map(([name, pids], at) => [
      name,
      { cpuPercent: ((meters[at]?.usedMs() ?? 0) * 100) / elapsedMs, ...memoryOfAll(pids()) },
    ]),
  ) as Record<Part, Cost>;
}

/** Adds up the processor time of processes, also of those that come later; what one uses after its last look is lost. */
function createMeter(pids: readonly number[]): { look(pids: readonly number[]): void; usedMs(): number } {
  const seen = new Map(pids.map((pid) => [pid, cpuMs([pid])]));
  let usedMs = 0;
  return {
    look(now) {
      for (const pid of now) {
        const totalMs = cpuMs([pid]);
        usedMs += Math.max(0, totalMs - (seen.get(pid) ?? 0));
        seen.set(pid, totalMs);
      }
    },
    usedMs: () => usedMs,
  };
}

/** Transactions of the supervisor's database since it was made. */
export async function transactionsOf(supervisor: Supervisor): Promise<number> {
  return withClient(supervisor, async (client) => {
    const { rows } = await client.query<{ n: string }>(
      'SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()',
    );
    return Number(rows[0]?.n);
  });
}
