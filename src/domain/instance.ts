// What an instance is: its statuses, reasons and row. Pure. Rows keep the column names of the database everywhere, so
// that one word means one thing from the table to the API.

export const statuses = ['pending', 'running', 'stopping', 'expired', 'disconnected', 'error'] as const;
export type Status = (typeof statuses)[number];

/** Statuses in which processes may live and a port is held. */
const atWork = ['pending', 'running', 'stopping'] as const satisfies readonly Status[];

export function isAtWork(status: Status): boolean {
  return (atWork as readonly Status[]).includes(status);
}

/** Why an instance was ended, or is being ended. Status says only where it is. */
export const stopReasons = [
  'user', // its owner or an admin stopped it
  'expired', // the lease is over
  'deleted', // its owner removes it
  'restart', // it is being restarted; the next launch follows
  'idle', // no request for idle_minutes; the next one wakes it
  'disabled', // its owner was disabled
  'start_failed', // the child ended before it was ever ready
  'start_timeout', // the child did not answer in time
  'crash_loop', // it crashed more often than the restart policy allows
  'crashed', // it crashed and its type is not to be restarted
  'limit', // it broke a limit
  'lost', // its processes vanished, with the machine or by a foreign hand
] as const;
export type StopReason = (typeof stopReasons)[number];

export const healths = ['unknown', 'starting', 'healthy', 'restarting', 'unresponsive'] as const;
export type Health = (typeof healths)[number];

export const isolationLevels = ['L0', 'L1', 'L2', 'L3', 'L4'] as const;
export type IsolationLevel = (typeof isolationLevels)[number];

/** A row of mcp_instances. */
export interface Instance {
  readonly id: string;
  readonly user_id: string;
  readonly mcp_type_id: string;
  readonly api_key_id: string | null;
  readonly process_id: number | null;
  /** SHA-256 of the access token, hex. */
  readonly access_token: string;
  readonly access_url: string;
  readonly assigned_port: number | null;
  readonly status: Status;
  readonly expires_at: Date;
  readonly config: Record<string, unknown>;
  readonly error_message: string | null;
  readonly last_accessed: Date | null;
  readonly stats: Record<string, unknown>;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly deleted_at: Date | null;
  readonly name: string;
  readonly node_id: string;
  readonly generation: number;
  readonly stop_reason: StopReason | null;
  readonly exit_code: number | null;
  readonly health: Health;
  readonly isolation: IsolationLevel | null;
  /** What the runtime driver needs to find the processes again. */
  readonly handle: unknown;
  readonly lease_started_at: Date;
  readonly warned_at: Date | null;
  readonly started_at: Date | null;
  readonly ready_at: Date | null;
  readonly stopped_at: Date | null;
  readonly restarts: number;
  readonly next_start_at: Date | null;
  /** Without a request for this long it is put to sleep; null: never. */
  readonly idle_minutes: number | null;
}
