// CPU and memory of many generations at once, in one call for all pids: the members of their groups, or where there are
// none their trees, from one look at all processes. A process that dies meanwhile counts for nothing.
import pidusage from 'pidusage';
import type { Usage } from './driver.ts';
import { readProcessTable, treesOf } from './process-table.ts';

export interface UsageRoot {
  readonly key: string;
  readonly pid: number;
  /** Everything that belongs to it; undefined: its tree. */
  readonly members: readonly number[] | undefined;
}

/** Sums over each root's members. Roots without a live process are left out. */
export async function measureUsage(roots: readonly UsageRoot[]): Promise<Map<string, Usage>> {
  const bare = roots.flatMap(({ pid, members }) => (members === undefined ? [pid] : []));
  const trees = bare.length === 0 ? undefined : treesOf(readProcessTable(), bare);
  const pidsOf = new Map(
    roots.map(({ key, pid, members }) => [key, members ?? trees?.get(pid)?.map((facts) => facts.pid) ?? []]),
  );
  const pids = [...pidsOf.values()].flat();
  const stats = pids.length === 0 ? {} : await ask(pids);
  const usage = new Map<string, Usage>();
  for (const [key, members] of pidsOf) {
    const found = members.flatMap((pid) => stats[pid] ?? []);
    if (found.length === 0) continue;
    usage.set(key, {
      cpuPercent: Math.round(found.reduce((sum, { cpu }) => sum + cpu, 0) * 10) / 10,
      memoryBytes: found.reduce((sum, { memory }) => sum + memory, 0),
      processes: found.length,
    });
  }
  return usage;
}

/**
 * How long pidusage keeps a process it was asked about, with a descriptor, milliseconds: longer than from one look to the
 * next, or there is no share of a processor to tell. By itself it keeps those that have ended for a minute.
 */
const keptMs = 20_000;

/** pidusage gives undefined for a pid that died, and throws when all did. */
async function ask(pids: number[]): Promise<Record<number, { cpu: number; memory: number } | undefined>> {
  try {
    return await pidusage(pids, { maxage: keptMs });
  } catch {
    return {};
  }
}
