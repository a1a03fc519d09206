// What an event changes beside the status, and the word for it in the audit trail. Pure.
import type { Patch, Timed } from '../db/queries/instances.ts';
import { type Instance, isAtWork, type Status, type StopReason } from '../domain/instance.ts';
import type { Branch } from '../domain/lifecycle.ts';
import type { Occurrence } from './occurrence.ts';

/** What a branch changes beside the status. */
export function patchFor(timed: Timed, branch: Branch, occurrence: Occurrence): Patch {
  const { row } = timed;
  const lease: Patch =
    occurrence.newEnd === undefined
      ? {}
      : {
          expires_at: occurrence.newEnd(timed),
          warned_at: null,
          ...(occurrence.event === 'renew' ? { lease_started_at: 'now' as const } : {}),
        };
  if (branch.effects.includes('launch')) return { ...lease, ...launchPatch(row, occurrence) };
  if (occurrence.event === 'ready') {
    return {
      health: 'healthy',
      ready_at: 'now',
      error_message: null,
      process_id: occurrence.processId ?? null,
      ...restartsPatch(row, occurrence),
    };
  }
  if (occurrence.event === 'child_down')
    return { health: 'restarting', process_id: null, ...restartsPatch(row, occurrence) };
  if (branch.to === 'stopping') return { ...lease, stop_reason: stopReasonFor(row, occurrence) };
  if (!isAtWork(branch.to)) return { ...lease, ...restPatch(timed, branch.to, occurrence) };
  return lease;
}

function launchPatch(row: Instance, occurrence: Occurrence): Patch {
  const crashed = row.status !== 'stopping' && occurrence.restartDelayMs !== undefined;
  return {
    generation: row.generation + 1,
    health: crashed ? 'restarting' : 'starting',
    process_id: null,
    handle: null,
    stop_reason: null,
    started_at: null,
    stopped_at: null,
    stats: {},
    restarts: crashed ? row.restarts + 1 : 0,
    next_start_at: crashed ? (occurrence.restartDelayMs ?? 0) : null,
    ...(crashed ? {} : { error_message: null, exit_code: null, ready_at: null }),
  };
}

/** The row counts restarts over its whole lease; a shim counts those of its own generation. */
function restartsPatch(row: Instance, occurrence: Occurrence): Patch {
  const seen = typeof row.stats.shim_restarts === 'number' ? row.stats.shim_restarts : 0;
  const counted = occurrence.shimRestarts ?? seen;
  if (counted <= seen) return {};
  return { restarts: row.restarts + counted - seen, stats: { ...row.stats, shim_restarts: counted } };
}

function stopReasonFor(row: Instance, occurrence: Occurrence): StopReason {
  if (occurrence.event === 'delete') return 'deleted';
  if (occurrence.event === 'restart') return 'restart';
  if (occurrence.event === 'expire') return 'expired';
  return occurrence.reason ?? row.stop_reason ?? 'user';
}

/** A sleeping instance keeps its port while it sleeps: on its way in, and when only its lease moves. */
function keepsPort(row: Instance, to: Status, occurrence: Occurrence): boolean {
  return (
    to === 'disconnected' && row.stop_reason === 'idle' && ['exited', 'extend'].includes(occurrence.event)
  );
}

function restPatch(timed: Timed, to: Status, occurrence: Occurrence): Patch {
  const { row } = timed;
  const deleted =
    occurrence.event === 'delete' || (row.stop_reason === 'deleted' && row.status === 'stopping');
  const ended = isAtWork(row.status);
  const reason =
    to === 'expired'
      ? 'expired'
      : row.status === 'stopping'
        ? row.stop_reason
        : (occurrence.reason ?? row.stop_reason);
  return {
    ...(deleted ? { deleted_at: 'now' as const, stop_reason: 'deleted' } : { stop_reason: reason }),
    ...(occurrence.newEnd === undefined ? {} : { stop_reason: row.stop_reason }),
    ...(ended ? { stopped_at: 'now' as const, exit_code: occurrence.exitCode ?? null } : {}),
    ...(keepsPort(row, to, occurrence) ? {} : { assigned_port: null }),
    process_id: null,
    handle: null,
    health: 'unknown',
    next_start_at: null,
    ...(to === 'error' && occurrence.message ? { error_message: occurrence.message } : {}),
  };
}

/** The word in the audit trail, or undefined for what is not worth one. */
export function eventName(
  before: Instance,
  after: Instance,
  branch: Branch,
  occurrence: Occurrence,
): string | undefined {
  if (after.deleted_at !== null && before.deleted_at === null) return 'deleted';
  if (occurrence.event === 'extend') return 'extended';
  if (occurrence.event === 'renew') return 'renewed';
  if (occurrence.event === 'restore' || (occurrence.event === 'restart' && branch.effects.includes('launch')))
    return 'restored';
  if (before.status === 'pending' && after.status === 'running')
    return before.ready_at === null ? 'ready' : 'recovered';
  if (occurrence.event === 'child_down' && before.status === 'running') return 'restarting';
  // Also when a restart follows: what was broken is the news.
  if (occurrence.event === 'exited' && occurrence.reason === 'limit') return 'limited';
  if (before.status === after.status) return occurrence.event === 'delete' ? 'deleting' : undefined;
  if (after.status === 'stopping') return 'stopping';
  if (after.status === 'pending') return before.status === 'stopping' ? 'restarted' : 'restarting';
  if (after.status === 'disconnected') return 'stopped';
  return after.status;
}
