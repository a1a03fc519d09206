// Where cgroups of ours can be made: found by the kernel's own tables, for both layouts (v1, v2), and made when there is
// something to put in. Where none can be made the reason is said, and nothing has been changed.
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where our groups are made. */
export interface CgroupParents {
  readonly version: 1 | 2;
  /** Version 1 has one per controller, version 2 the same one for all. */
  readonly memory: string;
  readonly pids: string;
  readonly cpu: string;
}

interface Mount {
  readonly root: string;
  readonly dir: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Finds or makes the parents of our groups. @returns why not, where it cannot be done */
export function findCgroups(dataDir: string): CgroupParents | { readonly missing: string } {
  if (process.platform !== 'linux') return { missing: 'cgroups are of Linux only' };
  try {
    const mounts = readMounts();
    const name = `minimcp-${createHash('sha256').update(dataDir).digest('hex').slice(0, 8)}`;
    return findV1(mounts, name) ?? findV2(mounts, name);
  } catch (error) {
    const { code, path, message } = error as NodeJS.ErrnoException;
    const readOnly = code === 'EROFS' || code === 'EACCES' || code === 'EPERM';
    return { missing: readOnly ? `no right to make a cgroup (${path ?? message})` : message };
  }
}

function findV1(mounts: readonly Mount[], name: string): CgroupParents | undefined {
  const mountOf = (controller: string): Mount | undefined =>
    mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller));
  const [memory, pids, cpu] = [mountOf('memory'), mountOf('pids'), mountOf('cpu')];
  if (memory === undefined || pids === undefined || cpu === undefined) return undefined;
  const at = (mount: Mount): string => join(mount.dir, name);
  return { version: 1, memory: at(memory), pids: at(pids), cpu: at(cpu) };
}

function findV2(mounts: readonly Mount[], name: string): CgroupParents | { readonly missing: string } {
  const mount = mounts.find(({ type }) => type === 'cgroup2');
  if (mount === undefined) return { missing: 'no cgroup file system is mounted' };
  const problems: string[] = [];
  // As root beside the services: a group inside our own would keep systemd from starting us again while instances live.
  for (const parentOf of [() => mount.dir, () => ownServiceGroup(mount)]) {
    try {
      const parent = parentOf();
      if (parent === undefined) continue;
      enableControllers(parent);
      const dir = join(parent, name);
      mkdirSync(dir, { recursive: true });
      enableControllers(dir);
      return { version: 2, memory: dir, pids: dir, cpu: dir };
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return { missing: `no cgroup could be made: ${problems.join('; ')}` };
}

function enableControllers(dir: string): void {
  requireControllers(dir);
  for (const controller of controllers) writeFileSync(join(dir, 'cgroup.subtree_control'), `+${controller}`);
}

const controllers = ['memory', 'pids', 'cpu'];

function requireControllers(dir: string): void {
  const there = readFileSync(join(dir, 'cgroup.controllers'), 'utf8').trim().split(' ');
  const missing = controllers.filter((controller) => !there.includes(controller));
  if (missing.length > 0) throw new Error(`${missing.join(', ')} not offered in ${dir}`);
}

/**
 * The cgroup of the service we run as (Delegate=yes), with ourselves in a leaf of it: a group with members of its own
 * cannot have limited children.
 */
function ownServiceGroup(mount: Mount): string | undefined {
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  const service = own.replace(/\/supervisor$/, '');
  if (!service.endsWith('.service')) return undefined;
  const dir = join(mount.dir, service);
  requireControllers(dir);
  const leaf = join(dir, 'supervisor');
  mkdirSync(leaf, { recursive: true });
  for (const pid of membersOf(dir)) appendFileSync(join(leaf, 'cgroup.procs'), String(pid));
  return dir;
}

/** The parents go when they are empty, so they are made again when needed. */
export function makeParents({ version, memory, pids, cpu }: CgroupParents): void {
  for (const dir of new Set([memory, pids, cpu])) {
    if (existsSync(dir)) continue;
    mkdirSync(dir, { recursive: true });
    if (version === 2) enableControllers(dir);
  }
}

function readMounts(): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const fields = before.split(' ');
      const [type = '', , options = ''] = after.split(' ');
      return { root: fields[3] ?? '/', dir: fields[4] ?? '/', type, options: options.split(',') };
    });
}

/** Pids in one directory of a cgroup; none when it is gone. */
export function membersOf(dir: string): number[] {
  try {
    return readFileSync(join(dir, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
