// Which rungs of the isolation ladder this machine has, found by trying each for real, once per process. A rung that is
// missing has a reason its reader can act on. Nothing is assumed from versions or files alone.
import { constants, readFileSync } from 'node:fs';
import { access, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { type CgroupParents, findCgroups } from './cgroup-parents.ts';
import { createGroup, removeGroup } from './cgroups.ts';
import type { Limits } from './driver.ts';
import { type Isolation, levelOf, type Rung } from './ladder.ts';
import { runHelper } from './launcher.ts';
import { inside, type SandboxTools, sandboxArgv } from './sandbox.ts';
import type { RuntimeFiles } from './store.ts';
import { type UidRange, uidRangeHere } from './uids.ts';

export interface ProbeOptions {
  readonly dataDir: string;
  readonly files: RuntimeFiles;
  readonly uidBase?: number | undefined;
}

/** Tries every rung. Takes about a tenth of a second. */
export async function probeIsolation(options: ProbeOptions): Promise<Isolation> {
  const [setpriv, prlimit, bwrap] = await Promise.all(['setpriv', 'prlimit', 'bwrap'].map(findProgram));
  const users = await tryUsers(options, setpriv ?? null);
  const box = bwrap === undefined ? noBwrap : await trySandbox(options, bwrap, users.uids);
  const groups = await tryCgroups(options.dataDir);
  const ladder = [
    { level: 'L0', missing: null },
    { level: 'L1', missing: users.missing },
    { level: 'L2', missing: box.missing },
    { level: 'L3', missing: box.missing ?? box.netMissing },
    { level: 'L4', missing: groups.missing },
  ] as const satisfies readonly Rung[];
  return {
    ladder,
    level: levelOf(ladder),
    uids: users.uids,
    setpriv: setpriv ?? null,
    prlimit: prlimit ?? null,
    sandbox: box.tools,
    netNamespace: box.missing === null && box.netMissing === null,
    cgroups: groups.parents,
    openFilesMax: hardOpenFiles(),
  };
}

function hardOpenFiles(): number {
  if (process.platform !== 'linux') return Number.POSITIVE_INFINITY;
  const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard);
}

interface Users {
  readonly uids: UidRange | null;
  readonly missing: string | null;
}

async function tryUsers(options: ProbeOptions, setpriv: string | null): Promise<Users> {
  if (process.getuid?.() !== 0) return { uids: null, missing: 'the supervisor is not root' };
  const uids = uidRangeHere(options.dataDir, options.uidBase);
  if (uids === undefined) {
    return { uids: null, missing: 'this container maps too few user ids: give it 65,536 or more' };
  }
  const probe = await runHelper([options.files.node, '--version'], {
    timeoutMs: 10_000,
    uid: uids.base,
    gid: uids.base,
  });
  if (!probe.ok) {
    const why = `user ${uids.base} cannot run ${options.files.node}: every directory above it must let others pass`;
    return { uids, missing: `${why} (${probe.problem})` };
  }
  if (setpriv === null) return { uids, missing: 'setpriv is not installed (package util-linux)' };
  return { uids, missing: null };
}

interface Box {
  readonly tools: SandboxTools | null;
  readonly missing: string | null;
  readonly netMissing: string | null;
}

const noBwrap: Box = {
  tools: null,
  missing: 'bubblewrap is not installed: install the package "bubblewrap"',
  netMissing: null,
};

async function trySandbox(options: ProbeOptions, bwrap: string, uids: UidRange | null): Promise<Box> {
  const scratch = join(options.dataDir, 'store', `probe-${process.pid}`);
  const uid = uids?.base;
  try {
    for (const name of ['home', 'tmp']) {
      await mkdir(join(scratch, name), { recursive: true });
      if (uid !== undefined) await chown(join(scratch, name), uid, uid);
    }
    const attempt = async (network: 'none' | 'host', disableUserns: boolean): Promise<string> => {
      const argv = sandboxArgv({
        tools: { bwrap, disableUserns },
        node: options.files.node,
        sharedObjects: options.files.sharedObjects,
        etc: options.files.etc,
        packageDir: options.files.etc,
        home: join(scratch, 'home'),
        tmp: join(scratch, 'tmp'),
        network,
        readOnlyPaths: [],
      });
      const result = await runHelper([...argv, inside.node, '--version'], {
        timeoutMs: 10_000,
        uid,
        gid: uid,
      });
      return result.problem;
    };
    const disableUserns = (await attempt('host', true)) === '';
    const problem = disableUserns ? '' : await attempt('host', false);
    if (problem !== '') return { tools: null, missing: explainBwrap(problem), netMissing: null };
    const netProblem = await attempt('none', disableUserns);
    return {
      tools: { bwrap, disableUserns },
      missing: null,
      netMissing: netProblem === '' ? null : `a network namespace cannot be made: ${netProblem}`,
    };
  } catch (error) {
    return { tools: null, missing: messageOf(error), netMissing: null };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function explainBwrap(problem: string): string {
  const hint = /namespace|uid map|permitted|denied/i.test(problem)
    ? 'user namespaces are switched off: see sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces and ' +
      'kernel.apparmor_restrict_unprivileged_userns'
    : 'bubblewrap does not work here';
  return `${hint} (${problem.split('\n').at(-1) ?? problem})`;
}

const probeLimits: Limits = {
  memoryBytesMax: 64 * 1024 * 1024,
  cpuPercentMax: 100,
  processesMax: 16,
  openFilesMax: 64,
  diskBytesMax: 0,
};

/** Puts itself into every directory it is given. */
const joinScript = 'for dir do echo $$ > "$dir/cgroup.procs" || exit 1; done';

async function tryCgroups(
  dataDir: string,
): Promise<{ parents: CgroupParents | null; missing: string | null }> {
  const found = findCgroups(dataDir);
  if ('missing' in found) return { parents: null, missing: found.missing };
  let dirs: string[] = [];
  try {
    dirs = createGroup(found, `probe-${process.pid}`, probeLimits);
    const joined = await runHelper(['/bin/sh', '-c', joinScript, 'sh', ...dirs], { timeoutMs: 5_000 });
    if (!joined.ok)
      return { parents: null, missing: `no process can be put into a cgroup: ${joined.problem}` };
    return { parents: found, missing: null };
  } catch (error) {
    return { parents: null, missing: `a cgroup with limits cannot be made: ${messageOf(error)}` };
  } finally {
    await removeGroup(dirs);
  }
}

const places = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of a system program, or undefined. The user's PATH is not asked. */
async function findProgram(name: string): Promise<string | undefined> {
  for (const dir of places) {
    const path = join(dir, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
