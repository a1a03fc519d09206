// The end of an instance, from asking to killing to proof. Each step is given time, and the next follows if anything
// still lives. Nothing is signalled that is not proved to be ours: by identity, by its own user, or by its cgroup. It
// resolves only when no process of the instance is left; otherwise it throws and the port stays taken.
import { monotonicMs, sleep } from '../base/clock.ts';
import { groupMembers, killGroup } from './cgroups.ts';
import { runHelper } from './launcher.ts';
import {
  bootId,
  findSame,
  isSame,
  type ProcessFacts,
  type ProcessIdentity,
  readProcess,
  signalProven,
  uidOf,
} from './process-identity.ts';
import { processesMarked, processesOfUid, readProcessTable, treeOf } from './process-table.ts';

export interface Target {
  readonly identity: ProcessIdentity;
  readonly instanceId: string;
  /** Whether `identity.uid` is this instance's alone, so that everything of that user may be killed. */
  readonly ownsUid: boolean;
  readonly cgroups: readonly string[];
  /** Living shims of other generations: they and what they started are never touched. */
  readonly spare: readonly ProcessIdentity[];
}

export interface TerminateOptions {
  readonly drainMs: number;
  readonly graceMs: number;
  /** Asks the shim to end; rejects when it does not answer. */
  readonly ask: () => Promise<void>;
  /** Asked after `ask` has failed: false leaves everything as it is, because another supervisor has taken over. */
  readonly mayKill: () => boolean;
}

/** What a shim may take beyond drain and grace to write down its end. */
const shimMs = 2_500;
/** What a shim that does not answer gets after SIGTERM. */
const termMs = 1_000;
const proofMs = 5_000;
const pollMs = 10;

/** Ends everything of a generation; its cgroups stay, empty. @throws when something still lives after all */
export async function terminate(target: Target, options: TerminateOptions): Promise<void> {
  const seen = new Seen(target);
  // Without a user of its own, a process is known to be ours only while its parent lives.
  const look = (): void => {
    if (!target.ownsUid) seen.look();
  };
  look();
  const facts = findSame(target.identity);
  // One that was stopped cannot listen: it is killed at once.
  if (facts !== undefined && facts.state !== 'T' && facts.state !== 't') {
    const asked = await options.ask().then(
      () => true,
      () => false,
    );
    if (!asked && !options.mayKill()) return;
    if (!asked) signalProven(target.identity, 'SIGTERM');
    const waitMs = asked ? options.drainMs + options.graceMs + shimMs : termMs;
    await untilGone(target.identity, waitMs, look);
  }
  signalProven(target.identity, 'SIGKILL');
  await sweep(target, seen);
}

async function untilGone(identity: ProcessIdentity, ms: number, look: () => void): Promise<void> {
  const dueMs = monotonicMs() + ms;
  for (let turn = 1; isSame(identity) && monotonicMs() < dueMs; turn += 1) {
    if (turn % 20 === 0) look();
    await sleep(pollMs);
  }
}

async function sweep(target: Target, seen: Seen): Promise<void> {
  const dueMs = monotonicMs() + proofMs;
  for (let waitMs = 2; ; waitMs = Math.min(waitMs * 2, 100)) {
    const alive = seen.look();
    if (alive.length === 0) return;
    if (monotonicMs() > dueMs) {
      const pids = alive.map(({ pid, state }) => `${pid} (${state})`).join(', ');
      throw new Error(`processes of instance ${target.instanceId} cannot be killed: ${pids}`);
    }
    killGroup(target.cgroups);
    // One act of the kernel, which nothing that forks meanwhile escapes.
    if (target.ownsUid) await killUid(target.identity.uid);
    else for (const facts of alive) signalFacts(facts);
    await sleep(waitMs);
  }
}

/** Kills everything a user runs, as that user: the kernel lets it reach nobody else. */
export async function killUid(uid: number): Promise<void> {
  await runHelper(['/bin/sh', '-c', 'kill -KILL -1'], { timeoutMs: 5_000, uid, gid: uid });
}

/** Processes of an instance, once seen known by their identity even when their parents are gone. */
class Seen {
  private readonly target: Target;
  private readonly known = new Map<number, ProcessFacts>();

  constructor(target: Target) {
    this.target = target;
  }

  look(): ProcessFacts[] {
    const { target } = this;
    const members = groupMembers(target.cgroups).flatMap((pid) => readProcess(pid) ?? []);
    // Nobody can leave the group: while it has members, the whole machine need not be searched.
    if (members.length > 0) return members;
    return target.ownsUid ? processesOfUid(target.identity.uid) : this.search();
  }

  /** By its parents and by its environment: one that has left both behind must have been seen before. */
  private search(): ProcessFacts[] {
    const { target } = this;
    const table = readProcessTable();
    const marked = processesMarked(table, `MCP_INSTANCE_ID=${target.instanceId}`);
    const shim = isSame(target.identity) ? treeOf(table, target.identity.pid) : [];
    const orphans = [...this.known.values()].flatMap(({ pid, startTicks }) => {
      const now = table.get(pid);
      return now?.startTicks === startTicks ? treeOf(table, pid) : [];
    });
    const alive = new Map([...marked, ...shim, ...orphans].map((facts) => [facts.pid, facts]));
    for (const other of target.spare) {
      if (isSame(other)) for (const { pid } of treeOf(table, other.pid)) alive.delete(pid);
    }
    for (const [pid, facts] of alive) this.known.set(pid, facts);
    return [...alive.values()];
  }
}

function signalFacts({ pid, startTicks }: ProcessFacts): void {
  const uid = uidOf(pid);
  if (uid !== undefined) signalProven({ pid, startTicks, bootId: bootId(), uid }, 'SIGKILL');
}
