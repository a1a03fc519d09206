// What processes cost, read from /proc: processor time, private memory, proportional memory, and who descends from
// whom. Linux only. A process that is gone counts as nothing; a file that cannot be parsed is an error.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Memory {
  /** Pages nobody else maps (Private_Clean + Private_Dirty). */
  readonly ussBytes: number;
  /** Pages shared with n others counted as 1/n. */
  readonly pssBytes: number;
}

/** Memory of one process; zero when it is gone. */
export function memoryOf(pid: number): Memory {
  const text = read(`/proc/${pid}/smaps_rollup`);
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { ussBytes: field('Private_Clean') + field('Private_Dirty'), pssBytes: field('Pss') };
}

/** Memory of several processes together. */
export function memoryOfAll(pids: readonly number[]): Memory {
  const all = pids.map(memoryOf);
  return {
    ussBytes: all.reduce((sum, one) => sum + one.ussBytes, 0),
    pssBytes: all.reduce((sum, one) => sum + one.pssBytes, 0),
  };
}

/** Processor time of all living threads of the processes, milliseconds. */
export function cpuMs(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of list(`/proc/${pid}/task`)) {
      nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] ?? 0);
    }
  }
  return nanoseconds / 1e6;
}

/** The processes below `pid`, itself not counted, zombies not counted. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of list('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [state, parent] = read(`/proc/${name}/stat`).split(') ').at(-1)?.split(' ') ?? [];
    if (state === undefined || parent === undefined || state === 'Z' || state === 'X') continue;
    const siblings = children.get(Number(parent)) ?? [];
    siblings.push(Number(name));
    children.set(Number(parent), siblings);
  }
  const below = (parent: number): number[] =>
    (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

/** A process and all below it. */
export function tree(pid: number): number[] {
  return [pid, ...descendants(pid)];
}

/** The command line of a process, words joined by blanks. */
export function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Living processes that work in a directory, or name it on their command line. */
export function residents(dir: string): number[] {
  return list('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter(
      (pid) => `${linkOf(`/proc/${pid}/cwd`)}/`.startsWith(`${dir}/`) || commandOf(Number(pid)).includes(dir),
    )
    .map(Number);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
