// The health sweep: one query for the rows, one look at all processes, one statement for what was found. It records
// and never kills: a check that fails is not an instance that fails.
import type { Db, Fence } from '../db/pool.ts';
import { type Digest, listAtWork, type Timed, writeDigests } from '../db/queries/instances.ts';
import type { Driver, Inspection, Usage } from '../runtime/driver.ts';
import { isHandle } from './effect-options.ts';

export interface HealthOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly driver: Driver;
  /** A generation whose shim is gone. */
  readonly onEnded: (instanceId: string, generation: number) => void;
  /** A running instance that had no request for its idle_minutes. */
  readonly onIdle: (instanceId: string) => void;
  readonly nowIso: () => string;
}

/** @returns how many instances were looked at */
export async function sweepHealth(options: HealthOptions): Promise<number> {
  const rows = (await listAtWork(options.db, options.nodeId)).filter(({ row }) => row.status === 'running');
  const found = rows.flatMap((timed) => {
    const { row } = timed;
    return isHandle(row.handle) ? [{ timed, row, handle: row.handle }] : [];
  });
  if (found.length === 0) return 0;
  const [usage, inspections] = await Promise.all([
    options.driver.usage(found.map(({ handle }) => handle)),
    Promise.all(found.map(({ handle }) => options.driver.inspect(handle))),
  ]);
  const digests = found.flatMap(({ timed, row }, at) => {
    const inspection = inspections[at];
    if (inspection === undefined) return [];
    if (inspection.state === 'ended') options.onEnded(row.id, row.generation);
    if (isIdle(timed, inspection)) options.onIdle(row.id);
    return [digestOf(row.id, row.generation, inspection, usage.get(row.id), options.nowIso())];
  });
  await options.db.tx((tx) => writeDigests(tx, digests), options.fence());
  return digests.length;
}

/** Whether its time without a request is over; before the first one it counts from when it was ready. */
function isIdle({ row, now }: Timed, inspection: Inspection): boolean {
  if (row.idle_minutes === null || row.ready_at === null || inspection.state !== 'alive') return false;
  const { idleMs, inFlight } = inspection.shim;
  const sinceMs = idleMs ?? now.getTime() - row.ready_at.getTime();
  return inFlight === 0 && sinceMs >= row.idle_minutes * 60_000;
}

function digestOf(
  id: string,
  generation: number,
  inspection: Inspection,
  usage: Usage | undefined,
  checkedAt: string,
): Digest {
  const shim = inspection.state === 'alive' ? inspection.shim : undefined;
  return {
    id,
    generation,
    health: shim === undefined ? 'unresponsive' : shim.phase === 'restarting' ? 'restarting' : 'healthy',
    problem: inspection.state === 'silent' ? (inspection.problem ?? null) : null,
    idle_ms: shim?.idleMs ?? null,
    stats: {
      checked_at: checkedAt,
      ...(usage === undefined
        ? {}
        : { cpu_percent: usage.cpuPercent, memory_bytes: usage.memoryBytes, processes: usage.processes }),
      ...(shim === undefined
        ? {}
        : {
            requests: shim.requests,
            in_flight: shim.inFlight,
            sessions: shim.sessions,
            shim_memory_bytes: shim.rssBytes,
          }),
    },
  };
}
