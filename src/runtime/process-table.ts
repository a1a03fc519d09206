// Every process of the machine in one look at /proc, and what can be said of many at once: trees, users, marks. It
// signals nothing. Processes come and go during the look: what is gone half way is left out.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type ProcessFacts, parseStat, readProc, readProcess, runsAs } from './process-identity.ts';

export type ProcessTable = ReadonlyMap<number, ProcessFacts>;

/** All live processes, zombies left out. */
export function readProcessTable(): ProcessTable {
  const table = new Map<number, ProcessFacts>();
  for (const pid of allPids()) {
    const facts = process.platform === 'linux' ? statOf(pid) : readProcess(pid);
    if (facts !== undefined) table.set(pid, facts);
  }
  return table;
}

/** A process and all its descendants, as the table has them; empty when it is not in there. */
export function treeOf(table: ProcessTable, root: number): ProcessFacts[] {
  return treesOf(table, [root]).get(root) ?? [];
}

/** The trees of many roots in one pass over the table. */
export function treesOf(table: ProcessTable, roots: readonly number[]): Map<number, ProcessFacts[]> {
  const children = new Map<number, ProcessFacts[]>();
  for (const facts of table.values()) {
    const siblings = children.get(facts.ppid);
    if (siblings === undefined) children.set(facts.ppid, [facts]);
    else siblings.push(facts);
  }
  const trees = new Map<number, ProcessFacts[]>();
  for (const root of roots) {
    const found: ProcessFacts[] = [];
    const first = table.get(root);
    if (first !== undefined) found.push(first);
    for (let at = 0; at < found.length; at += 1) found.push(...(children.get(found[at]?.pid ?? -1) ?? []));
    trees.set(root, found);
  }
  return trees;
}

/** Live processes of a user. */
export function processesOfUid(uid: number): ProcessFacts[] {
  return allPids()
    .filter((pid) => runsAs(pid, uid))
    .flatMap((pid) => readProcess(pid) ?? []);
}

/** Live processes whose environment was started with `NAME=value`. One may hide by starting another program. */
export function processesMarked(table: ProcessTable, mark: string): ProcessFacts[] {
  const wanted = Buffer.from(`${mark}\0`);
  return [...table.values()].filter(({ pid }) => {
    try {
      const environ = readFileSync(`/proc/${pid}/environ`);
      const at = environ.indexOf(wanted);
      return at === 0 || (at > 0 && environ[at - 1] === 0);
    } catch {
      // Not ours to read: then it is not ours.
      return false;
    }
  });
}

function allPids(): number[] {
  if (process.platform === 'linux') {
    return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  }
  return execFileSync('ps', ['-axo', 'pid='], { encoding: 'utf8' }).trim().split(/\s+/).map(Number);
}

function statOf(pid: number): ProcessFacts | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}
