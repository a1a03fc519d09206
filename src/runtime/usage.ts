// CPU and memory of many process trees at once: one look at all processes, one call for all pids. A process that dies
// meanwhile counts for nothing.
import pidusage from 'pidusage';
import type { Usage } from './driver.ts';
import { type ProcessTable, treesOf } from './process-table.ts';

export interface UsageRoot {
  readonly key: string;
  readonly pid: number;
  /** Further members that may have left the tree. */
  readonly members: readonly number[];
}

/** Sums over each root's tree and members. Roots without a live process are left out. */
export async function measureUsage(
  table: ProcessTable,
  roots: readonly UsageRoot[],
): Promise<Map<string, Usage>> {
  const trees = treesOf(
    table,
    roots.map(({ pid }) => pid),
  );
  const pidsOf = new Map(
    roots.map(({ key, pid, members }) => {
      const tree = (trees.get(pid) ?? []).map((facts) => facts.pid);
      return [key, [...new Set([...tree, ...members.filter((member) => table.has(member))])]];
    }),
  );
  const pids = [...new Set([...pidsOf.values()].flat())];
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

/** pidusage gives undefined for a pid that died, and throws when all did. */
async function ask(pids: number[]): Promise<Record<number, { cpu: number; memory: number } | undefined>> {
  try {
    return await pidusage(pids);
  } catch {
    return {};
  }
}
