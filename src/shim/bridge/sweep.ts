// The bridge's one timer: it ends calls and questions without a sign of life and sessions nobody uses, and keeps open
// streams from being cut by what stands between. It runs only while there is something to look after.

import { monotonicMs } from '../../base/clock.ts';
import { isOpen } from './answers.ts';
import { timeOutCalls } from './calls.ts';
import { giveUpParked } from './input-required.ts';
import { endSession } from './legacy.ts';
import { failServerCalls } from './server-requests.ts';
import { idleSessions } from './sessions.ts';
import type { Core } from './state.ts';

/** How often a quiet stream says that it is still there. */
const keepAliveMs = 25_000;

/** Longest sleep while something is in flight. */
const busyMsMax = 1_000;

export interface Sweep {
  /** Something may have to be looked after from now on. */
  wake(): void;
  stop(): void;
}

/** Makes the timer; it sleeps until it is woken. */
export function createSweep(core: Core): Sweep {
  let timer: NodeJS.Timeout | null = null;
  let dueMs = 0;
  let keptAliveMs = monotonicMs();
  const everyMs = (): number | null => {
    if (core.calls.size > 0 || core.serverCalls.size > 0 || core.parked.size > 0)
      return Math.max(10, Math.min(busyMsMax, core.bounds.requestTimeoutMs / 4));
    if (core.sessions.size > 0 || core.listeners.size > 0)
      return Math.max(10, Math.min(keepAliveMs, core.bounds.sessionIdleMs / 4));
    return null;
  };
  const arm = (): void => {
    const ms = everyMs();
    if (timer !== null) clearTimeout(timer);
    timer = ms === null ? null : setTimeout(run, ms).unref();
    dueMs = monotonicMs() + (ms ?? 0);
  };
  const run = (): void => {
    timeOutCalls(core);
    const asked = monotonicMs() - core.bounds.sessionIdleMs;
    failServerCalls(core, (call) => call.askedMs <= asked, 'Nobody answered in time');
    giveUpParked(core);
    for (const session of idleSessions(core)) endSession(core, session, 'The session was idle');
    if (monotonicMs() - keptAliveMs >= keepAliveMs) keepAlive();
    arm();
  };
  const keepAlive = (): void => {
    keptAliveMs = monotonicMs();
    for (const { response } of core.listeners)
      if (isOpen(response) && response.writableLength === 0) response.write(':\n\n');
    for (const session of core.sessions.values()) {
      for (const response of session.listeners)
        if (isOpen(response) && response.writableLength === 0) response.write(':\n\n');
      for (const { response } of session.streams.values())
        if (response !== null && isOpen(response) && response.writableLength === 0) response.write(':\n\n');
    }
  };
  return {
    wake() {
      // Nothing is looked after more often than this; sleeping longer than that must be cut short.
      if (timer === null || dueMs - monotonicMs() > busyMsMax) arm();
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
