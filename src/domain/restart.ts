// When a crashed process is started again. Pure; the shim uses it for its child, the supervisor for a shim.

export interface RestartPolicy {
  /** Crashes forgiven before the instance ends in error. 0: never restarted. */
  readonly triesMax: number;
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  /** Sustained uptime after which all tries are given back, milliseconds. */
  readonly resetAfterMs: number;
}

export const defaultRestartPolicy: RestartPolicy = {
  triesMax: 5,
  backoffMs: 500,
  backoffMsMax: 30_000,
  resetAfterMs: 60_000,
};

/**
 * How long to wait before the next start, or undefined when the budget is spent. The first restart is immediate:
 * most crashes are single, and their users are waiting.
 * @param tries crashes since the budget was last given back, this one not counted
 */
export function restartDelayMs(policy: RestartPolicy, tries: number): number | undefined {
  if (tries >= policy.triesMax) return undefined;
  if (tries === 0) return 0;
  return Math.min(policy.backoffMs * 2 ** (tries - 1), policy.backoffMsMax);
}
