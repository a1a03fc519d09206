// How the parts of the shim meet: the process that holds the child on one side, the bridge that speaks MCP on the
// other. Types only.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LaunchSpec, Lease, Visitor } from './contract.ts';

/** The child's standard input as the bridge sees it. One per start of the child. */
export interface ChildLink {
  /**
   * Queues one JSON-RPC message (serialised, no newline inside); the lines of one tick leave in one write.
   * @returns false when the child does not read: hold further requests until `onDrain` calls back
   */
  send(line: string): boolean;
  /** Calls back each time the child has read enough for more. */
  onDrain(callback: () => void): void;
}

/** What the bridge learned from the child's initialize. */
export interface ServerInfo {
  readonly name: string;
  readonly version: string;
  readonly protocolVersion: string;
}

export interface BridgeCounters {
  readonly sessions: number;
  readonly inFlight: number;
  /** Requests of clients in all. */
  readonly requests: number;
  /** Milliseconds since a request was last in flight; null before the first. */
  readonly idleMs: number | null;
}

/** Words of the shim about its instance, for the log (source "system"). */
export type Say = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  meta?: Record<string, unknown>,
) => void;

/** Everything between the door and the child's pipes. It lives as long as the shim, across restarts of the child. */
export interface Bridge {
  /** The era the child is spoken to in. */
  era(): 'legacy' | 'modern';
  /**
   * Performs the one real initialize and a tools/list on a fresh child. Once it has answered both, and knows what the
   * clients want to hear, all that is new goes to it, whichever child served before. Until then, and when it rejects,
   * nothing has changed.
   */
  open(link: ChildLink, signal: AbortSignal): Promise<ServerInfo>;
  /** One line of a child's standard output, without its newline. */
  receive(link: ChildLink, line: Buffer): void;
  /** A child is gone: what it was asked gets a JSON-RPC error. When it was the one that served, sessions are forgotten. */
  childGone(link: ChildLink, reason: string): void;
  /** Resolves when a child owes no answer any more, or when the signal aborts. */
  answered(link: ChildLink, signal: AbortSignal): Promise<void>;
  /** A request that passed the door. Answers it, always. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  counters(): BridgeCounters;
  /** Refuses new requests; resolves when none is in flight, or when the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  /** Ends every stream. */
  close(): void;
}

export interface BridgeOptions {
  readonly spec: LaunchSpec;
  readonly say: Say;
}

export interface DoorOptions {
  /** Address, hosts, origins, token, bounds and lease are read from it. */
  readonly spec: LaunchSpec;
  /** Called with each request that passed: Bridge.handle. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  readonly say: Say;
}

/** The HTTP server of the instance: who may come in, before any byte of a body is read. */
export interface Door {
  /** Resolves with the port when connections are accepted; rejects with the system's error (EADDRINUSE). */
  listen(): Promise<number>;
  /** The old token stops working at once. */
  setToken(tokenSha256: string): void;
  /** Lets a visitor in besides the holder of the token. @returns false when there are too many */
  admit(visitor: Visitor): boolean;
  /** A moved end; what clients are told once it is over. */
  setLease(lease: Lease): void;
  /** From now on requests are answered 410. */
  endLease(): void;
  /** Accepts no further connections, because another listens on the same port; those that are open stay until they rest. */
  leavePort(): void;
  /** Accepts no further connections and closes those that are open. Safe to call twice, and before listen. */
  close(): Promise<void>;
}
