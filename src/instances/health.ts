// The health sweep: one query for the rows, one look at all processes, one statement for what was found. It records
// and never kills: a check that fails is not an instance that fails.
import type { Db, Fence } from '../db/pool.ts';
import { type Digest, listAtWork, writeDigests } from '../db/queries/instances.ts';
import type { Driver, Inspection, Usage } from '../runtime/driver.ts';
import { isHandle } from './effect-options.ts';

export interface HealthOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly driver: Driver;
  /** A generation whose shim is gone. */
  readonly onEnded: (instanceId: string, generation: number) => void;
  readonly nowIso: () => string;
}

/** @returns how many instances were looked at */
export async function sweepHealth(options: HealthOptions): Promise<number> {
  const rows = (await listAtWork(options.db, options.nodeId)).filter(({ row }) => row.status === 'running');
  const found = rows.flatMap(({ row }) => (isHandle(row.handle) ? [{ row, handle: row.handle }] : []));
  if (found.length === 0) return 0;
  const [usage, inspections] = await Promise.all([
    options.driver.usage(found.map(({ handle }) => handle)),
    Promise.all(found.map(({ handle }) => options.driver.inspect(handle))),
  ]);
  const digests = found.flatMap(({ row }, at) => {
    const inspection = inspections[at];
    if (inspection === undefined) return [];
    if (inspection.state === 'ended') options.onEnded(row.id, row.generation);
    return [digestOf(row.id, row.generation, inspection, usage.get(row.id), options.nowIso())];
  });
  await options.db.tx((tx) => writeDigests(tx, digests), options.fence());
  return digests.length;
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
