// An event with everything that comes with it. Types only.
import type { Timed } from '../db/queries/instances.ts';
import type { StopReason } from '../domain/instance.ts';
import type { LifecycleEvent } from '../domain/lifecycle.ts';
import type { Actor } from './types.ts';

/** What comes with an event, beside its name. */
export interface Occurrence {
  readonly event: LifecycleEvent;
  /** Who asked; absent: the supervisor, the clock or the shim. */
  readonly actor?: Actor;
  /** The generation the news is about; absent for what people ask. */
  readonly generation?: number;
  /** For stop, and for exited: why. */
  readonly reason?: StopReason;
  readonly exitCode?: number | null;
  readonly message?: string | null;
  readonly processId?: number | null;
  /** Restarts of the child that the shim has counted in this generation. */
  readonly shimRestarts?: number;
  /** For exited: milliseconds to wait before the next launch, or undefined when the budget is spent. */
  readonly restartDelayMs?: number | undefined;
  /** For extend and renew: the new end of the lease, computed from the locked row. */
  readonly newEnd?: (timed: Timed) => Date;
  /** Facts worth keeping in the event. */
  readonly data?: Record<string, unknown>;
}
