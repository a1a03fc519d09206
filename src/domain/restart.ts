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

/** What a type says about restarts, seconds where its readers think in seconds. */
export interface StatedRestartPolicy {
  readonly tries?: number | undefined;
  readonly backoff_seconds?: number | undefined;
  readonly backoff_seconds_max?: number | undefined;
  readonly reset_after_seconds?: number | undefined;
}

/** The policy of a type: what it says, and the default for the rest. */
export function restartPolicyOf(said: StatedRestartPolicy): RestartPolicy {
  const ms = (seconds: number | undefined, otherwise: number): number =>
    seconds === undefined ? otherwise : seconds * 1_000;
  return {
    triesMax: said.tries ?? defaultRestartPolicy.triesMax,
    backoffMs: ms(said.backoff_seconds, defaultRestartPolicy.backoffMs),
    backoffMsMax: ms(said.backoff_seconds_max, defaultRestartPolicy.backoffMsMax),
    resetAfterMs: ms(said.reset_after_seconds, defaultRestartPolicy.resetAfterMs),
  };
}
