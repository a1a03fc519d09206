// What the manager, the one door to instances, offers to the API and the jobs. Types only.
import type { Instance, StopReason } from '../domain/instance.ts';

/** Who does it and from where; goes into mcp_events. */
export interface Actor {
  /** Null: the supervisor itself. */
  readonly userId: string | null;
  readonly role: 'user' | 'admin';
  readonly ip: string | null;
  readonly userAgent: string | null;
}

export interface CreateInput {
  readonly typeName: string;
  /** Minutes; default: the setting mcp.default_duration_minutes, cut to the type's maximum. */
  readonly minutes?: number | undefined;
  readonly name?: string | undefined;
  readonly config?: Record<string, unknown> | undefined;
  /** Put to sleep after so many minutes without a request; default: what the type says. */
  readonly idleMinutes?: number | undefined;
}

export interface WithToken {
  readonly instance: Instance;
  /** Shown once, never stored. */
  readonly accessToken: string;
}

/** What became of a new API key in a running instance. */
export type KeyReplaced =
  | { readonly outcome: 'moved' | 'restarted' }
  /** Its server goes on with the old one; what the other said last, redacted. */
  | { readonly outcome: 'refused'; readonly lastLines: readonly string[] };

/** A way into a running instance for a moment, besides its access token. */
export interface Visit {
  /** On this machine. */
  readonly url: string;
  readonly token: string;
  /** From now on the token opens nothing. Never rejects: it would have ended by itself. */
  leave(): Promise<void>;
}

/**
 * Every change of an instance's status. Each method throws a Fault for what is refused: not_found for what is not
 * there or not the actor's, illegal_in_status, lease_over, quota_exceeded, no_port_free, api_key_required, and so on.
 */
export interface Manager {
  create(actor: Actor, input: CreateInput): Promise<WithToken>;
  stop(actor: Actor, id: string, reason?: StopReason): Promise<Instance>;
  restart(actor: Actor, id: string): Promise<Instance>;
  restore(actor: Actor, id: string): Promise<Instance>;
  renew(actor: Actor, id: string, minutes?: number): Promise<Instance>;
  extend(actor: Actor, id: string, minutes: number): Promise<Instance>;
  /** Ends and removes it. The row is deleted (deleted_at) now, or when its processes are gone. */
  remove(actor: Actor, id: string): Promise<Instance>;
  /** A new access token; the old one stops working at once. */
  newToken(actor: Actor, id: string): Promise<WithToken>;
  /** Has a running instance use its owner's present API key; calls do not notice, where its server allows that. */
  replaceKey(actor: Actor, id: string, signal: AbortSignal): Promise<KeyReplaced>;
  /** Lets the supervisor into a running instance for its actor, to see its tools or to try the one that is named. */
  visit(actor: Actor, id: string, tool?: string): Promise<Visit>;
  /** Which place its start has in the queue of this node, 1 being the next; null when it does not wait there. */
  queuePosition(id: string): number | null;
  /** Resolves with the row when it is running or at rest, or as it is after `ms`. */
  settled(id: string, ms: number, signal?: AbortSignal): Promise<Instance>;
}
