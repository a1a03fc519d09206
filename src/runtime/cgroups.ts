// A cgroup per generation: memory, processes and CPU held to their limits by the kernel, and a list of members nobody
// can leave. The shim is put in before it is told anything, so all it starts is inside; the figures leave it room of its
// own. What the kernel refuses here is an error of the start, never a silent no.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sleep } from '../base/clock.ts';
import { type CgroupParents, makeParents, membersOf } from './cgroup-parents.ts';
import type { Limits } from './driver.ts';

/** Memory and tasks (threads count) the shim and the sandbox need beside what the server may have. */
const shimMemoryBytes = 96 * 1024 * 1024;
const shimTasks = 32;
/** Long, so that a start, which is one burst of CPU, is not stretched by a quota meant for the long run. */
const cpuPeriodUs = 1_000_000;

/**
 * Makes the group of one generation with its limits.
 * @returns its directories, one per controller, that of memory first
 */
export function createGroup(parents: CgroupParents, name: string, limits: Limits): string[] {
  const quotaUs = Math.max(limits.cpuPercentMax, 1) * (cpuPeriodUs / 100);
  const dirs = [...new Set([parents.memory, parents.pids, parents.cpu])].map((parent) => join(parent, name));
  makeParents(parents);
  for (const dir of dirs) mkdirSync(dir, { recursive: true });
  resizeGroup(parents, name, limits, 1);
  const at = (parent: string, file: string): string => join(parent, name, file);
  if (parents.version === 2) {
    writeIfThere(at(parents.memory, 'memory.swap.max'), '0');
    writeFileSync(at(parents.cpu, 'cpu.max'), `${quotaUs} ${cpuPeriodUs}`);
    writeIfThere(at(parents.cpu, 'cpu.max.burst'), String(quotaUs));
  } else {
    writeFileSync(at(parents.cpu, 'cpu.cfs_period_us'), String(cpuPeriodUs));
    writeFileSync(at(parents.cpu, 'cpu.cfs_quota_us'), String(quotaUs));
    writeIfThere(at(parents.cpu, 'cpu.cfs_burst_us'), String(quotaUs));
  }
  return dirs;
}

/** Sets what a group may have of memory and tasks: for one child, or for two while one takes over from another. */
export function resizeGroup(parents: CgroupParents, name: string, limits: Limits, children: number): void {
  const memoryBytes = String(limits.memoryBytesMax * children + shimMemoryBytes);
  const at = (parent: string, file: string): string => join(parent, name, file);
  writeFileSync(at(parents.pids, 'pids.max'), String(limits.processesMax * children + shimTasks));
  if (parents.version === 2) {
    writeFileSync(at(parents.memory, 'memory.max'), memoryBytes);
    return;
  }
  const limit = at(parents.memory, 'memory.limit_in_bytes');
  const withSwap = at(parents.memory, 'memory.memsw.limit_in_bytes');
  // The one may never be more than the other: on the way up that with swap goes first, on the way down last.
  writeIfThere(withSwap, memoryBytes);
  writeFileSync(limit, memoryBytes);
  writeIfThere(withSwap, memoryBytes);
}

/** Puts a process, and all it starts from now on, into the group. The kernel takes milliseconds for each: others go on. */
export async function joinGroup(dirs: readonly string[], pid: number): Promise<void> {
  for (const dir of dirs) await appendFile(join(dir, 'cgroup.procs'), String(pid));
}

/** Pids in the group, in whichever of its directories. */
export function groupMembers(dirs: readonly string[]): number[] {
  return [...new Set(dirs.flatMap(membersOf))];
}

/** Kills every member where the kernel can do it in one act (v2). @returns whether it could */
export function killGroup(dirs: readonly string[]): boolean {
  return dirs.some(
    (dir) => existsSync(join(dir, 'cgroup.kill')) && writeIfThere(join(dir, 'cgroup.kill'), '1'),
  );
}

/** Removes the group. Its last members may take a moment to be forgotten by the kernel. */
export async function removeGroup(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) {
    for (let tries = 0; !removed(dir) && tries < 40; tries += 1) await sleep(25);
    // Ours too, once it is empty: nothing is left of us when nothing runs.
    removed(dirname(dir));
  }
}

/** How often the kernel has killed in the group for want of memory. Its first directory is the one of memory. */
export function oomKills([dir]: readonly string[]): number {
  if (dir === undefined) return 0;
  const text = readIfThere(join(dir, 'memory.oom_control')) ?? readIfThere(join(dir, 'memory.events'));
  return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0);
}

/** Names of the groups there are under our parents. */
export function listGroups(parents: CgroupParents): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const parent of new Set([parents.memory, parents.pids, parents.cpu])) {
    if (!existsSync(parent)) continue;
    for (const entry of readdirSync(parent, { withFileTypes: true })) {
      if (entry.isDirectory())
        found.set(entry.name, [...(found.get(entry.name) ?? []), join(parent, entry.name)]);
    }
  }
  return found;
}

function removed(dir: string): boolean {
  try {
    rmdirSync(dir);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function writeIfThere(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}
