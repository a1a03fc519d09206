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

/** Longest sleep while something is going on. */
const busyMsMax = 1_000;

export interface Sweep {
  /** Something is going on, or has just begun to. */
  wake(): void;
  stop(): void;
}

/** Makes the timer; it sleeps until it is woken. */
export function createSweep(core: Core): Sweep {
  const busyMs = Math.max(10, Math.min(busyMsMax, core.bounds.requestTimeoutMs / 4));
  const quietMs = Math.max(10, Math.min(keepAliveMs, core.bounds.sessionIdleMs / 4));
  let timer: NodeJS.Timeout | null = null;
  let dueMs = 0;
  let isAwake = false;
  let keptAliveMs = monotonicMs();
  const sleep = (ms: number): void => {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(run, ms).unref();
    dueMs = monotonicMs() + ms;
  };
  const run = (): void => {
    timer = null;
    timeOutCalls(core);
    const asked = monotonicMs() - core.bounds.sessionIdleMs;
    failServerCalls(core, (call) => call.askedMs <= asked, 'Nobody answered in time');
    giveUpParked(core);
    for (const session of idleSessions(core)) endSession(core, session, 'The session was idle');
    if (monotonicMs() - keptAliveMs >= keepAliveMs) keepAlive();
    const isBusy = isAwake || core.calls.size > 0 || core.serverCalls.size > 0 || core.parked.size > 0;
    isAwake = false;
    if (isBusy) sleep(busyMs);
    else if (core.sessions.size > 0 || core.listeners.size > 0) sleep(quietMs);
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
      isAwake = true;
      if (timer === null || dueMs - monotonicMs() > busyMs) sleep(busyMs);
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
