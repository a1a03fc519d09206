// What effects need of the other rooms, and two small things they share.
import type { Logger } from '../base/log.ts';
import type { Db, Fence } from '../db/pool.ts';
import { readInstance, type Timed } from '../db/queries/instances.ts';
import type { Instance, IsolationLevel } from '../domain/instance.ts';
import type { ServerType } from '../domain/server-type.ts';
import type { Driver, Handle, Limits } from '../runtime/driver.ts';
import type { Admission } from './admission.ts';
import type { Apply } from './apply.ts';
import type { Changes } from './changes.ts';
import type { Sleepers } from './sleepers.ts';

export interface OpenedKey {
  readonly id: string;
  /** Another one with each replacement. */
  readonly version: string;
  readonly plaintext: string;
}

export interface EffectsOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly apply: Apply;
  readonly driver: Driver;
  readonly changes: Changes;
  readonly admission: Admission;
  readonly sleepers: Sleepers;
  readonly log: Logger;
  /** The supervisor's words about an instance, into its log. */
  readonly say: (instanceId: string, level: 'info' | 'warn' | 'error', message: string) => void;
  readonly typeById: (id: string) => Promise<ServerType | undefined>;
  /** Opens the owner's API key for a child; null when there is none. */
  readonly openKey: (userId: string, typeId: string) => Promise<OpenedKey | null>;
  readonly limitsOf: (type: ServerType) => Promise<Limits>;
  /** Log an instance may write on one day, and what of it has been stored today, in bytes. */
  readonly logBudget: (
    instanceId: string,
  ) => Promise<{ readonly bytesPerDay: number; readonly usedBytes: number }>;
  readonly minIsolation: () => Promise<IsolationLevel>;
  readonly drainMs: () => Promise<number>;
  readonly graceMs: number;
  readonly publicHosts: readonly string[];
  /** An effect failed: what is left undone is found by reconcile. */
  readonly onFailed: (error: unknown) => void;
  /** Called with each new end of a lease, so that a timer can be set. A hint. */
  readonly onLease: (row: Instance) => void;
}

/** The row as it is now, if it is still the generation and status an effect was meant for. */
export async function current(
  options: EffectsOptions,
  wanted: Instance,
  status: Instance['status'],
): Promise<Timed | undefined> {
  const timed = await readInstance(options.db, wanted.id);
  return timed?.row.generation === wanted.generation && timed.row.status === status ? timed : undefined;
}

/** The handle in the row, or the one found on this machine when the supervisor died before writing it. */
export async function findHandle(
  options: Pick<EffectsOptions, 'driver'>,
  row: Instance,
): Promise<Handle | undefined> {
  if (isHandle(row.handle)) return row.handle;
  return options.driver.find(row.id, row.generation);
}

export function isHandle(value: unknown): value is Handle {
  return typeof value === 'object' && value !== null && 'driver' in value && value.driver === 'local';
}
