// Holding this machine's row in nodes: registration raises the epoch, a lease is renewed every few seconds, and a
// supervisor that finds another living one says who it is and gives up. A lease that cannot be renewed kills nothing.
import { hostname } from 'node:os';
import { monotonicMs, nowMs } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { Db, Fence } from '../db/pool.ts';
import { type Holder, lockNode, releaseNode, renewNode, takeNode } from '../db/queries/nodes.ts';
import { identify, isSame } from '../runtime/process-identity.ts';

const leaseSeconds = 15;
const renewMs = 3_000;
/** Without a renewal for this long, nothing new is admitted. */
const admitWithinMs = 12_000;

export interface NodeOptions {
  readonly db: Db;
  readonly nodeId: string;
  readonly version: string;
  readonly capacity: Record<string, unknown>;
  readonly log: Logger;
  /** Another supervisor has the node: this one must stop writing and end. */
  readonly onFenced: () => void;
}

export interface Node extends Service {
  readonly fence: () => Fence;
  /** Whether the lease was renewed lately enough for new work. After an outage that is a moment later than its end. */
  isFresh(): boolean;
  /** Throws a Fault when the node cannot take new work now. */
  admit(): void;
  drain(): void;
  /** Sets what happens when the database answers again after it did not. */
  onBack(callback: () => void): void;
  /** Somebody met a database that was away, perhaps too briefly for a renewal to notice. */
  wasAway(): void;
}

export function createNode(options: NodeOptions): Node {
  const { db, nodeId, log } = options;
  let epoch = 0;
  let renewedAtMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let draining = false;
  let away = false;
  let back = (): void => {};
  let renewing: Promise<void> = Promise.resolve();

  const renew = async (): Promise<void> => {
    try {
      const startedMs = monotonicMs();
      if (!(await renewNode(db, nodeId, epoch, leaseSeconds))) return options.onFenced();
      renewedAtMs = startedMs;
      const returned = away;
      away = false;
      if (returned) back();
    } catch (error) {
      away = true;
      log.warn(
        { reason: messageOf(error) },
        'the lease of this node could not be renewed; running instances go on',
      );
    }
  };
  const tick = (): void => {
    renewing = renew().finally(() => {
      if (timer !== undefined) timer = setTimeout(tick, renewMs);
    });
  };

  const isFresh = (): boolean => monotonicMs() - renewedAtMs <= admitWithinMs;

  return {
    name: 'node',
    isFresh,
    fence: () => ({ nodeId, epoch }),
    async start() {
      epoch = await register(options);
      renewedAtMs = monotonicMs();
      timer = setTimeout(tick, renewMs);
      log.info({ node: nodeId, epoch }, 'this node is held');
    },
    async stop() {
      clearTimeout(timer);
      timer = undefined;
      await renewing;
      if (epoch > 0) await releaseNode(db, nodeId, epoch);
    },
    admit() {
      if (draining) throw new Fault('draining', `node ${nodeId} is draining`, { retryAfterS: 60 });
      if (!isFresh()) {
        throw new Fault('database_unavailable', `node ${nodeId} could not renew its lease`, {
          retryAfterS: 5,
        });
      }
    },
    drain() {
      draining = true;
    },
    onBack(callback) {
      back = callback;
    },
    wasAway() {
      away = true;
    },
  };
}

async function register(options: NodeOptions): Promise<number> {
  const identity = identify(process.pid);
  if (identity === undefined) throw new Error('this process cannot read its own identity');
  const holder: Holder = {
    ...identity,
    host: hostname(),
    since: new Date(nowMs()).toISOString(),
  };
  return options.db.tx(async (tx) => {
    const row = await lockNode(tx, options.nodeId);
    if (row.leaseLive && !isGone(row.holder)) throw held(options.nodeId, row.holder, row.secondsLeft);
    return takeNode(tx, {
      id: options.nodeId,
      holder,
      capacity: options.capacity,
      version: options.version,
      leaseSeconds,
    });
  });
}

/** Whether the holder is provably dead: a process of this machine that is not there any more, or of an earlier boot. */
function isGone(holder: Partial<Holder>): boolean {
  const { host, pid, startTicks, bootId, uid } = holder;
  if (host !== hostname()) return false;
  if (pid === undefined || startTicks === undefined || bootId === undefined || uid === undefined)
    return false;
  return !isSame({ pid, startTicks, bootId, uid });
}

function held(nodeId: string, holder: Partial<Holder>, secondsLeft: number): Fault {
  const who = `pid ${holder.pid ?? '?'} on ${holder.host ?? '?'} since ${holder.since ?? '?'}`;
  return new Fault(
    'node_held',
    `node ${nodeId} is held by ${who}; its lease runs for another ${Math.ceil(secondsLeft)} s. ` +
      'Stop it with "minimcp down", or give this one another MINIMCP_NODE_ID and data directory',
    { retryAfterS: Math.ceil(secondsLeft) },
  );
}
