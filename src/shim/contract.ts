// The boundary between the supervisor and a shim, versioned. A shim may be older or newer than the supervisor that
// adopts it: fields are only ever added, a reader ignores what it does not know, and what it cannot do without makes
// a new version. Types and constants only: the shim stays small, so nothing here may import a library.

import type { StopReason } from '../domain/instance.ts';
import type { RestartPolicy } from '../domain/restart.ts';
import type { Era, Transport } from '../domain/server-type.ts';

export const contractVersion = 1;

/** Names inside a generation's directory (the bundle). */
export const bundleFiles = {
  /** Unix socket of the shim; one JSON document a line both ways. */
  controlSocket: 'control.sock',
  /** Who the shim is, as proof of its process, written by the launcher before the shim gets its spec. */
  identity: 'shim.json',
  /** How it ended (ExitRecord), written by the shim as its last act. */
  exit: 'exit.json',
  /** The shim's own standard error: empty unless it crashed. */
  crash: 'shim.stderr',
  /** Directory of log segments: 0000000001.ndjson and on, each line a SpoolLine. */
  spool: 'spool',
} as const;

/** Bounds of protocol.md; every one can be set per type through configuration, and each has a test that goes past it. */
export interface Bounds {
  readonly bodyBytesMax: number;
  readonly childLineBytesMax: number;
  readonly inFlightMax: number;
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  /** Longest a request may take without progress from the child. */
  readonly requestTimeoutMs: number;
  readonly eventsMax: number;
  readonly eventBytesMax: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly headerBytesMax: number;
  readonly jsonDepthMax: number;
  readonly connectionsMax: number;
  /** Bytes a client may leave unread before its stream is closed. */
  readonly clientBufferBytesMax: number;
  /** Log segments on disk that are not yet stored; past it lines are dropped with a marker. */
  readonly spoolBytesMax: number;
  readonly spoolSegmentBytes: number;
  /** One log line; the rest is cut and said so. */
  readonly logLineBytesMax: number;
}

export const defaultBounds: Bounds = {
  bodyBytesMax: 4 * 1024 * 1024,
  childLineBytesMax: 10 * 1024 * 1024,
  inFlightMax: 256,
  sessionsMax: 64,
  sessionIdleMs: 30 * 60_000,
  requestTimeoutMs: 5 * 60_000,
  eventsMax: 1_000,
  eventBytesMax: 8 * 1024 * 1024,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  headerBytesMax: 16 * 1024,
  jsonDepthMax: 128,
  connectionsMax: 12_000,
  clientBufferBytesMax: 4 * 1024 * 1024,
  spoolBytesMax: 64 * 1024 * 1024,
  spoolSegmentBytes: 4 * 1024 * 1024,
  logLineBytesMax: 64 * 1024,
};

/** How the child is started. The command line is complete: any sandbox is already part of it. */
export interface ChildSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment, secrets included; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly transport: Transport;
  /** For streamable-http children: the private loopback port they were told to listen on. */
  readonly httpPort?: number;
  readonly startTimeoutMs: number;
  /** The era to open the child in; unknown is opened legacy. */
  readonly era: Era;
}

/** Everything a shim is told, on its standard input, once. */
export interface LaunchSpec {
  readonly contract: typeof contractVersion;
  readonly instanceId: string;
  readonly generation: number;
  readonly bundleDir: string;
  /** `fd`: a socket that already listens there, inherited from the supervisor. */
  readonly listen: { readonly host: string; readonly port: number; readonly fd?: number };
  /** Values of Host that are served, lower case, besides those of `listen`. */
  readonly hosts: readonly string[];
  /** Values of Origin that are served; any other is refused. */
  readonly origins: readonly string[];
  /** SHA-256 of the access token, hex. */
  readonly tokenSha256: string;
  readonly lease: Lease;
  readonly child: ChildSpec;
  /** Values that may never reach the log. */
  readonly secrets: readonly string[];
  /** Which state of the API key that is. Absent from older supervisors, and where there is no key. */
  readonly keyVersion?: string | undefined;
  readonly restart: RestartPolicy;
  readonly bounds: Bounds;
  /** Serve GET /sse and POST /messages for clients of 2024-11-05. */
  readonly legacySse: boolean;
  /** The proxy to run for a server that may reach some hosts only; the socket is named from the bundle. */
  readonly egress?: { readonly socket: string; readonly hosts: readonly string[] };
  /** Log the server may write on one UTC day, and what of it is used already. Absent from older supervisors: no bound. */
  readonly logBudget?: { readonly bytesPerDay: number; readonly usedBytes: number } | undefined;
  /** How long calls in flight get at the end, and how long the child gets to leave after each step. */
  readonly drainMs: number;
  readonly graceMs: number;
}

/** The shim counts `remainingMs` by itself on monotonic time; `expiresAt` is only for telling people. */
export interface Lease {
  readonly remainingMs: number;
  readonly expiresAt: string;
}

export type ShimPhase = 'starting' | 'running' | 'restarting' | 'stopping';

/** An API key that takes the place of another, on its way into the child. Never written down. */
export interface KeyChange {
  readonly version: string;
  /** The environment variable the server reads it from. */
  readonly variable: string;
  readonly value: string;
}

/** Who may come in for a short while besides the holder of the access token. Never written down. */
export interface Visitor {
  /** SHA-256 of a token of its own, hex. */
  readonly tokenSha256: string;
  /** For how long; 0 sends it away. */
  readonly remainingMs: number;
}

/** How far the last change of the API key has come. */
export interface KeyRoll {
  readonly version: string;
  /**
   * `proving`: a second child is being opened with it; `draining`: that child serves, the old one finishes its calls;
   * `done`: the old one is gone; `failed`: nothing has changed.
   */
  readonly phase: 'proving' | 'draining' | 'done' | 'failed';
  /** With failed: what the second child said last, redacted, and why it was given up. */
  readonly lastLines: readonly string[];
}

/** What a shim knows about itself; answered to `hello` and `state`, and sent as news when the phase changes. */
export interface ShimState {
  readonly contract: number;
  readonly instanceId: string;
  readonly generation: number;
  readonly pid: number;
  readonly phase: ShimPhase;
  readonly childPid: number | null;
  /** Restarts of the child by this shim, in all. */
  readonly restarts: number;
  readonly server: {
    readonly name: string;
    readonly version: string;
    readonly protocolVersion: string;
  } | null;
  /** What the server speaks, once that has been found out; absent before, and when it was known at the start. */
  readonly era?: Era | undefined;
  readonly sessions: number;
  readonly inFlight: number;
  readonly requests: number;
  /** Milliseconds since a request was last in flight; null before the first. */
  readonly idleMs: number | null;
  /** Bytes of memory the shim itself holds (RSS). */
  readonly rssBytes: number;
  /** The end of the lease it was last told. Absent from shims older than this field. */
  readonly expiresAt?: string | undefined;
  /** The key its child runs with, and started again would run with. */
  readonly keyVersion?: string | undefined;
  readonly roll?: KeyRoll | undefined;
}

/** How a generation ended. Written once; the supervisor proves the end by itself and takes only the reasons from here. */
export interface ExitRecord {
  readonly instanceId: string;
  readonly generation: number;
  readonly reason: StopReason;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Last lines the child wrote to standard error, redacted, at most 20. */
  readonly lastLines: readonly string[];
  readonly restarts: number;
  /** Whether the child was ever ready in this generation. */
  readonly wasReady: boolean;
  readonly at: string;
}

/** Requests of the supervisor. Each gets one reply with the same id. */
export type ControlRequest =
  | { readonly id: number; readonly method: 'hello'; readonly contract: number; readonly epoch: number }
  | { readonly id: number; readonly method: 'state' }
  | {
      readonly id: number;
      readonly method: 'stop';
      readonly reason: StopReason;
      readonly drainMs: number;
      readonly graceMs: number;
      /** The supervisor listens on the port too: no further connection may be accepted. Older shims go on until the end. */
      readonly portTaken?: boolean;
    }
  | { readonly id: number; readonly method: 'deadline'; readonly lease: Lease }
  | { readonly id: number; readonly method: 'token'; readonly tokenSha256: string }
  /** Begins to use another API key; how it goes is in the state. The key in use, or one too many, changes nothing. */
  | { readonly id: number; readonly method: 'key'; readonly key: KeyChange }
  /** Lets a visitor in, of this generation only. Not known to shims older than it, which answer "malformed". */
  | { readonly id: number; readonly method: 'visitor'; readonly visitor: Visitor };

export type ControlReply =
  | { readonly id: number; readonly state: ShimState }
  /** code: "fenced" (a newer epoch has spoken), "contract", "malformed", "full" (too many visitors). */
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } };

/** Unasked messages of the shim, after `hello`. Hints: the state behind them can always be asked for. */
export type ControlNews =
  | { readonly news: 'state'; readonly state: ShimState }
  /** New lines are in the spool. At most one in 50 ms. */
  | { readonly news: 'spooled' };

/** One line of the spool. Written only by the shim; already redacted, cut and sanitised. */
export interface SpoolLine {
  /** Sequence number within the source, from 1, across segments and restarts of the child. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly t: number;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly source: 'process' | 'system' | 'api';
  readonly msg: string;
  readonly meta?: Readonly<Record<string, unknown>>;
}
