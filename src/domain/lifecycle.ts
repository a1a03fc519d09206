// The life of an instance as one table: status × event → next status and effects. Pure: no I/O, no clock. An absent
// cell is an illegal event; a cell that stays put with no effects is a harmless repeat. docs/state-machine.md is
// printed from it. What decides between branches are the guards below, each a fact the caller read from the database.
import type { Status, StopReason } from './instance.ts';

export const events = [
  'ready', // the child answered initialize and tools/list
  'child_down', // the shim is starting its child again
  'exited', // every process of the generation is proved gone
  'stop', // end it, keep the lease (its owner, an admin, idleness, a broken limit)
  'expire', // the lease is over
  'delete', // end it and remove it
  'extend', // move the end of the lease
  'restart', // end the processes and launch again
  'restore', // launch again what is not running, within its lease
  'renew', // a new lease on the same instance and URL
] as const;
export type LifecycleEvent = (typeof events)[number];

export const effects = [
  'launch', // start a new generation
  'terminate', // end every process, and prove it
  'set_deadline', // tell the shim how long it may live
  'listen', // keep the port of a sleeping instance open, and wake it for the next request
  'unlisten', // let go of that port
  'wipe', // delete the instance's home, and write the receipt that says what was proved
] as const;
export type Effect = (typeof effects)[number];

/** Facts that choose between the branches of a cell. */
export interface Facts {
  /** The lease is over, by the database's clock. */
  readonly leaseOver: boolean;
  /** Why the instance is being ended, or null. */
  readonly stopReason: StopReason | null;
  /** The restart policy still has a try left for this crash. */
  readonly mayRestart: boolean;
}

const guards = {
  'being deleted': (facts: Facts) => facts.stopReason === 'deleted',
  'lease over': (facts: Facts) => facts.leaseOver || facts.stopReason === 'expired',
  'being restarted': (facts: Facts) => facts.stopReason === 'restart',
  idle: (facts: Facts) => facts.stopReason === 'idle',
  'may be restarted': (facts: Facts) => facts.mayRestart,
  failed: (facts: Facts) => facts.stopReason !== null && failures.includes(facts.stopReason),
} as const;
export type Guard = keyof typeof guards;

/** Reasons after which an instance is in error rather than merely disconnected. */
const failures: readonly StopReason[] = ['start_failed', 'start_timeout', 'crash_loop', 'limit'];

export interface Branch {
  readonly when?: Guard;
  readonly to: Status;
  readonly effects: readonly Effect[];
}

type Cell = readonly Branch[];

const stay = (status: Status, ...does: Effect[]): Cell => [{ to: status, effects: does }];
const go = stay;

/** What proves an end without anyone having asked for one: a crash, a deadline the shim kept, a vanished machine. */
const afterCrash: Cell = [
  { when: 'lease over', to: 'expired', effects: ['wipe'] },
  { when: 'may be restarted', to: 'pending', effects: ['launch'] },
  { to: 'error', effects: [] },
];

export const lifecycle: Readonly<Record<Status, Partial<Record<LifecycleEvent, Cell>>>> = {
  pending: {
    ready: go('running'),
    child_down: stay('pending'),
    exited: afterCrash,
    stop: go('stopping', 'terminate'),
    expire: go('stopping', 'terminate'),
    delete: go('stopping', 'terminate'),
    extend: stay('pending', 'set_deadline'),
  },
  running: {
    ready: stay('running'),
    child_down: go('pending'),
    exited: afterCrash,
    stop: go('stopping', 'terminate'),
    expire: go('stopping', 'terminate'),
    delete: go('stopping', 'terminate'),
    extend: stay('running', 'set_deadline'),
    restart: go('stopping', 'terminate'),
  },
  stopping: {
    ready: stay('stopping'),
    child_down: stay('stopping'),
    exited: [
      { when: 'being deleted', to: 'disconnected', effects: ['wipe'] },
      { when: 'lease over', to: 'expired', effects: ['wipe'] },
      { when: 'being restarted', to: 'pending', effects: ['launch'] },
      { when: 'idle', to: 'disconnected', effects: ['listen'] },
      { when: 'failed', to: 'error', effects: [] },
      { to: 'disconnected', effects: [] },
    ],
    stop: stay('stopping'),
    expire: stay('stopping'),
    delete: stay('stopping'),
  },
  expired: {
    exited: stay('expired'),
    stop: stay('expired'),
    expire: stay('expired'),
    delete: stay('expired', 'wipe'),
    renew: go('pending', 'launch'),
  },
  disconnected: {
    exited: stay('disconnected'),
    stop: [
      { when: 'idle', to: 'disconnected', effects: ['unlisten'] },
      { to: 'disconnected', effects: [] },
    ],
    expire: go('expired', 'unlisten', 'wipe'),
    delete: stay('disconnected', 'unlisten', 'wipe'),
    extend: stay('disconnected'),
    restart: go('pending', 'launch'),
    restore: go('pending', 'launch'),
  },
  error: {
    exited: stay('error'),
    stop: stay('error'),
    expire: go('expired', 'wipe'),
    delete: stay('error', 'wipe'),
    extend: stay('error'),
    restart: go('pending', 'launch'),
    restore: go('pending', 'launch'),
  },
};

/** The branch that `event` takes in `status` given `facts`, or undefined when the event is illegal there. */
export function next(status: Status, event: LifecycleEvent, facts: Facts): Branch | undefined {
  return lifecycle[status][event]?.find((branch) => branch.when === undefined || guards[branch.when](facts));
}
