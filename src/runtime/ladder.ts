// The isolation ladder: what a machine has of it, which level that makes, how it reads. Pure.
import { type IsolationLevel, isolationLevels } from '../domain/instance.ts';
import type { CgroupParents } from './cgroup-parents.ts';
import type { SandboxTools } from './sandbox.ts';
import type { UidRange } from './uids.ts';

/** What is to be had here. */
export interface Isolation {
  readonly level: IsolationLevel;
  readonly ladder: readonly Rung[];
  /** Users for instances; null: all run as we do. */
  readonly uids: UidRange | null;
  readonly setpriv: string | null;
  readonly prlimit: string | null;
  readonly sandbox: SandboxTools | null;
  readonly netNamespace: boolean;
  readonly cgroups: CgroupParents | null;
  /** Most files a process may have open here, whatever its type asks for. */
  readonly openFilesMax: number;
}

export interface Rung {
  readonly level: IsolationLevel;
  /** Null: it is to be had. */
  readonly missing: string | null;
}

/**
 * The level a ladder reaches. L1 needs root and is not needed for L2: namespaces of one user are kept apart without.
 * L4 is limits on top of namespaces, so it counts only with them.
 */
export function levelOf(ladder: readonly Rung[]): IsolationLevel {
  const has = (level: IsolationLevel): boolean =>
    ladder.some((rung) => rung.level === level && rung.missing === null);
  if (!has('L2')) return has('L1') ? 'L1' : 'L0';
  if (!has('L3')) return 'L2';
  return has('L4') ? 'L4' : 'L3';
}

/** What is left of a machine's isolation when no more than `max` of it is used. Users of their own stay: root needs them. */
export function capIsolation(found: Isolation, max: IsolationLevel): Isolation {
  if (reaches(max, found.level)) return found;
  const ladder = found.ladder.map((rung) =>
    reaches(max, rung.level) ? rung : { ...rung, missing: `not used: the level is held at ${max}` },
  );
  return {
    ...found,
    ladder,
    level: levelOf(ladder),
    sandbox: reaches(max, 'L2') ? found.sandbox : null,
    netNamespace: found.netNamespace && reaches(max, 'L3'),
    cgroups: null,
  };
}

/** Whether `level` is at least `minimum`. */
export function reaches(level: IsolationLevel, minimum: IsolationLevel): boolean {
  return isolationLevels.indexOf(level) >= isolationLevels.indexOf(minimum);
}

/** Rungs that cannot be had and would be of use. A user of its own needs root, and is not needed above namespaces. */
export function missingRungs({ level, ladder }: Pick<Isolation, 'level' | 'ladder'>) {
  return explainLadder(ladder).flatMap(({ level: rung, meaning, missing }) =>
    missing === null || (rung === 'L1' && reaches(level, 'L2'))
      ? []
      : [{ level: rung, meaning, reason: missing }],
  );
}

const meanings: Readonly<Record<IsolationLevel, string>> = {
  L0: 'own process group, environment from nothing, private home and temporary directory',
  L1: 'a user of its own, no new privileges',
  L2: 'namespaces: sees only itself, its package and its home',
  L3: 'a network namespace: no network, the hosts of an allow-list, or all, as its type says',
  L4: 'a cgroup: memory, processes and CPU held by the kernel',
};

/** The ladder as lines for people, from the bottom up. Pure. */
export function explainLadder(
  ladder: readonly Rung[],
): { level: IsolationLevel; meaning: string; ok: boolean; missing: string | null }[] {
  return ladder.map(({ level, missing }) => ({
    level,
    meaning: meanings[level],
    ok: missing === null,
    missing,
  }));
}
