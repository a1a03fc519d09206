// What the end of a generation means: from the record its shim left, or from the lack of one, to the occurrence that
// apply decides on. Pure.

import type { Instance, StopReason } from '../domain/instance.ts';
import { type RestartPolicy, restartDelayMs } from '../domain/restart.ts';
import type { ExitRecord } from '../shim/contract.ts';
import type { Occurrence } from './occurrence.ts';

/** Reasons a shim gives after which a new launch would only fail again, or would be wrong. */
const final: readonly StopReason[] = [
  'start_failed',
  'start_timeout',
  'crash_loop',
  'crashed',
  'limit',
  'expired',
];

/**
 * The occurrence for a proven end. A shim that was told to end by anyone but a supervisor (a signal by hand, or to every
 * process at the shutdown of the machine) says so in its record; where the row was not being stopped, that is a loss.
 * @param exit what the shim left behind; null when it was killed and could leave nothing
 * @param now the database's clock
 */
export function exitedOccurrence(
  row: Instance,
  exit: ExitRecord | null,
  policy: RestartPolicy,
  now: Date,
): Occurrence {
  const base = {
    event: 'exited' as const,
    generation: row.generation,
    data: exit === null ? { shim: 'vanished' } : {},
  };
  if (exit !== null && final.includes(exit.reason)) {
    return { ...base, reason: exit.reason, exitCode: exit.exitCode, message: explain(exit) };
  }
  const steady = row.ready_at !== null && now.getTime() - row.ready_at.getTime() >= policy.resetAfterMs;
  const delayMs = restartDelayMs(policy, steady ? 0 : row.restarts);
  return {
    ...base,
    reason: delayMs === undefined ? 'crash_loop' : 'lost',
    exitCode: exit?.exitCode ?? null,
    message: exit === null ? 'its processes were killed from outside, again and again' : explain(exit),
    restartDelayMs: delayMs,
  };
}

const headlines: Partial<Record<StopReason, string>> = {
  start_failed: 'the MCP server exited before it was ready',
  start_timeout: 'the MCP server did not answer initialize in time',
  crash_loop: 'the MCP server kept crashing',
  crashed: 'the MCP server crashed',
  limit: 'the MCP server broke a limit',
};

function explain(exit: ExitRecord): string | null {
  const headline = headlines[exit.reason];
  if (headline === undefined) return null;
  const how =
    exit.signal === null
      ? exit.exitCode === null
        ? ''
        : ` (exit code ${exit.exitCode})`
      : ` (${exit.signal})`;
  const lines =
    exit.lastLines.length === 0
      ? '; it wrote nothing to standard error'
      : `; its last lines:\n${exit.lastLines.join('\n')}`;
  return headline + how + lines;
}
