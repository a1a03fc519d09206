// The one interface to processes. The local driver (shims on this machine) is its first implementation. An engine
// that cannot be reached is an exception, never "gone". Secret values appear in no handle, list, argument or error.
import type { IsolationLevel, StopReason } from '../domain/instance.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { ExitRecord, KeyChange, ShimState, Visitor } from '../shim/contract.ts';

/** Finds a generation again; plain JSON, kept in mcp_instances.handle. */
export interface Handle {
  readonly driver: 'local';
  readonly instanceId: string;
  readonly generation: number;
  /** What was there when it was started; proves the process later. */
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
  readonly uid: number;
  readonly port: number;
  readonly isolation: IsolationLevel;
}

export interface StartSpec {
  readonly instanceId: string;
  readonly generation: number;
  readonly port: number;
  /** SHA-256 of the access token, hex. */
  readonly tokenSha256: string;
  readonly remainingMs: number;
  readonly expiresAt: Date;
  readonly drainMs: number;
  readonly type: ServerType;
  /** What the owner said at creation: arguments and environment inputs of the type, already checked. */
  readonly config: Record<string, unknown>;
  /** The opened API key, or null for a type without one. */
  readonly apiKey: string | null;
  /** Tells one state of the key from another, and nothing of the key. */
  readonly keyVersion?: string | undefined;
  readonly limits: Limits;
  /** Log it may write on one UTC day, and what its earlier generations have written today; absent: no bound. */
  readonly logBudget?: { readonly bytesPerDay: number; readonly usedBytes: number } | undefined;
  readonly minIsolation: IsolationLevel;
  /** Values of Host and Origin that a proxy in front uses. */
  readonly publicHosts: readonly string[];
  /** A socket of ours that already listens on `port`; the shim inherits it, so that no connection is refused meanwhile. */
  readonly listenFd?: number | undefined;
}

export interface Limits {
  readonly memoryBytesMax: number;
  /** Hundredths of one core. */
  readonly cpuPercentMax: number;
  readonly processesMax: number;
  readonly openFilesMax: number;
  readonly diskBytesMax: number;
}

export type Inspection =
  | { readonly state: 'alive'; readonly handle: Handle; readonly shim: ShimState }
  /** The shim process lives but did not answer in time, or not in words we know: then `problem` says so to people. */
  | { readonly state: 'silent'; readonly handle: Handle; readonly problem?: string }
  /** Nothing of it lives. `exit` is what the shim left behind, if it could. */
  | { readonly state: 'ended'; readonly handle: Handle; readonly exit: ExitRecord | null };

/** A hint that something changed; may be dropped, repeated, reordered. */
export interface News {
  readonly instanceId: string;
  readonly generation: number;
  readonly kind: 'state' | 'ended' | 'spooled';
  /** With kind state. */
  readonly shim?: ShimState;
}

export interface StopOptions {
  readonly reason: StopReason;
  readonly drainMs: number;
  readonly graceMs: number;
  /** We listen on its port already: it is to accept no further connection. */
  readonly portTaken?: boolean;
}

/** What `stop` proved. */
export interface Ended {
  readonly exit: ExitRecord | null;
  /** Processes found alive after the end; always 0, or stop throws. */
  readonly processes: 0;
}

export type Rekeyed =
  /** A child with the key serves, here or already. The one before it ends when it owes no answer any more. */
  | { readonly outcome: 'moved' }
  /** The child that served goes on; what the other said last, redacted. */
  | { readonly outcome: 'refused'; readonly lastLines: readonly string[] }
  /** It can only be started again with it. */
  | { readonly outcome: 'unsupported' };

export type Admitted =
  /** Where its token opens the instance, from this machine. */
  | { readonly outcome: 'admitted'; readonly url: string }
  /** As many as may be are in. */
  | { readonly outcome: 'full' }
  /** A shim of another version: it knows no visitors. */
  | { readonly outcome: 'unsupported' };

export interface Capabilities {
  readonly isolation: IsolationLevel;
  /** Each level with why it cannot be had, or null when it can. */
  readonly ladder: readonly { readonly level: IsolationLevel; readonly missing: string | null }[];
  /** Instances run as users of their own: none can take part in a port of ours. */
  readonly ownUsers: boolean;
  readonly cores: number;
  readonly memoryBytes: number;
}

/** CPU and memory over the process tree of one generation. */
export interface Usage {
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly processes: number;
}

export interface Driver {
  /** Whether the engine is there and what it can do. */
  probe(): Promise<Capabilities>;
  /** Idempotent on (instance, generation): twice gives one process and the same handle. Returns on accepted, not ready. */
  start(spec: StartSpec): Promise<Handle>;
  /** The truth about a generation. */
  inspect(handle: Handle): Promise<Inspection>;
  /** Calls back with hints until the signal aborts. */
  watch(callback: (news: News) => void, signal: AbortSignal): void;
  /** Every generation of ours found on this machine, also what a crash left before its row knew. */
  list(): Promise<Handle[]>;
  /** One of them. */
  find(instanceId: string, generation: number): Promise<Handle | undefined>;
  /** Re-attaches to a living generation. Never restarts anything. */
  adopt(handle: Handle): Promise<Inspection>;
  /** Drains and ends it, escalating by itself; resolves when nothing of it lives. Idempotent. */
  stop(handle: Handle, options: StopOptions): Promise<Ended>;
  /** Deletes the home of an instance and every generation directory whose log lines are stored. Absent is success. */
  remove(instanceId: string): Promise<void>;
  /** Moves the shim's own deadline. */
  setDeadline(
    handle: Handle,
    lease: { readonly remainingMs: number; readonly expiresAt: Date },
  ): Promise<void>;
  /** Replaces the access token in the running shim. */
  setToken(handle: Handle, tokenSha256: string): Promise<void>;
  /** Lets a visitor into a living generation for a short while, or sends it away. The access token is left alone. */
  admit(handle: Handle, visitor: Visitor): Promise<Admitted>;
  /** Has a child with another API key take over in a living generation; calls do not notice. Idempotent by its version. */
  rekey(handle: Handle, key: KeyChange, signal: AbortSignal): Promise<Rekeyed>;
  /** CPU and memory of many generations at once. */
  usage(handles: readonly Handle[]): Promise<Map<string, Usage>>;
  /** Milliseconds of processor time a generation has asked for so far, granted or not; undefined when not to be known. */
  demand(handle: Handle): number | undefined;
  /** Lets go of every shim and leaves them running. */
  close(): Promise<void>;
}
