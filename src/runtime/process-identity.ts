// Who a process is. A pid alone proves nothing: pids are used again within a minute under load. Here a process is its
// pid, start time, boot and user together, and nothing is signalled that is not proved to be the same. A zombie is
// dead. What /proc refuses for any other reason than absence is an error, never "gone".
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';

/** What the kernel says about a live process. */
export interface ProcessFacts {
  readonly pid: number;
  readonly ppid: number;
  /** One letter of ps: R, S, D, T and so on; never Z or X. */
  readonly state: string;
  /** Clock ticks from boot to its start. */
  readonly startTicks: number;
}

/** Enough to know a process again. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
  readonly uid: number;
}

let knownBootId: string | undefined;

/** The kernel's id of this boot. */
export function bootId(): string {
  knownBootId ??=
    process.platform === 'linux'
      ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      : execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim();
  return knownBootId;
}

/** The facts of a process, or undefined when nothing alive has this pid. */
export function readProcess(pid: number): ProcessFacts | undefined {
  if (process.platform !== 'linux') return readWithPs(pid);
  const text = readProc(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

/** PF_KTHREAD among the flags of a process (linux/sched.h). */
const kernelThread = 0x0020_0000;

/**
 * Reads a line of /proc/PID/stat; undefined for a zombie and for a thread of the kernel, which machines have hundreds of
 * and nobody starts. The name may hold spaces and parentheses.
 */
export function parseStat(text: string): ProcessFacts | undefined {
  const pid = Number.parseInt(text, 10);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0] ?? 'X';
  if (state === 'Z' || state === 'X' || state === 'x') return undefined;
  if ((Number(fields[6]) & kernelThread) !== 0) return undefined;
  return {
    pid,
    ppid: Number(fields[1]),
    state,
    startTicks: Number(fields[19]),
  };
}

/** The user a process runs as (its real uid), or undefined when it is gone. */
export function uidOf(pid: number): number | undefined {
  const text =
    process.platform === 'linux' ? readProc(`/proc/${pid}/status`) : ps(pid, 'uid=')?.replace(/^/, 'Uid:\t');
  const match = text === undefined ? null : /^Uid:\s*(\d+)/m.exec(text);
  return match === null ? undefined : Number(match[1]);
}

/** What identifies a live process of this boot, for writing down. */
export function identify(pid: number): ProcessIdentity | undefined {
  const facts = readProcess(pid);
  const uid = uidOf(pid);
  if (facts === undefined || uid === undefined) return undefined;
  return { pid, startTicks: facts.startTicks, bootId: bootId(), uid };
}

/** The facts of the process this identity was taken from, if it still lives. */
export function findSame(identity: ProcessIdentity): ProcessFacts | undefined {
  if (identity.pid <= 1 || identity.bootId !== bootId()) return undefined;
  const facts = readProcess(identity.pid);
  if (facts === undefined || facts.startTicks !== identity.startTicks) return undefined;
  return runsAs(identity.pid, identity.uid) ? facts : undefined;
}

/** Root, where it is not mapped (fs.overflowuid). */
const overflowUid = 65_534;

/**
 * Whether a process runs as a user. The owner of /proc/PID says so at a tenth of what reading it costs; but one that made
 * itself undumpable seems to belong to root, so what seems to be root's has to be read.
 */
export function runsAs(pid: number, uid: number): boolean {
  const owner = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  const isTold = owner !== undefined && owner !== 0 && owner !== overflowUid;
  return (isTold ? owner : uidOf(pid)) === uid;
}

export function isSame(identity: ProcessIdentity): boolean {
  return findSame(identity) !== undefined;
}

/**
 * Signals a process after proving that it is the one meant.
 * @returns false when it is gone, or somebody else has its pid now
 */
export function signalProven(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isSame(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Text of a file of /proc, or undefined when its process is gone. */
export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function readWithPs(pid: number): ProcessFacts | undefined {
  const line = ps(pid, 'state=,ppid=,lstart=');
  const match = line === undefined ? null : /^(\S)\S*\s+(\d+)\s+(.+)$/.exec(line);
  if (match === null || match[1] === 'Z') return undefined;
  return {
    pid,
    ppid: Number(match[2]),
    state: match[1] ?? 'S',
    startTicks: Date.parse(match[3] ?? '') / 1_000,
  };
}

function ps(pid: number, format: string): string | undefined {
  try {
    return execFileSync('ps', ['-o', format, '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
