// The only reader of clocks in the program. Lease deadlines are the database's to decide; what stands here is for
// waiting, for measuring, and for the times of log lines.

/** Wall-clock time, milliseconds since 1970. May jump: never compare it with a lease. */
export function nowMs(): number {
  return Date.now();
}

/** Monotonic time in milliseconds since an arbitrary start; the only clock for time-outs and deadlines in a process. */
export function monotonicMs(): number {
  // Not performance.now(): the first use of that loads a module, which costs a shim a tenth of its start.
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}

/** Resolves after `ms`; rejects with the signal's reason if it is aborted first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Longest wait setTimeout takes without firing at once (2^31−1 ms, 24.8 days). */
export const timerMsMax = 2_147_483_647;

/**
 * Calls `callback` once `remainingMs` of monotonic time have passed, however long that is.
 * @returns a function that cancels it
 */
export function afterMonotonic(remainingMs: number, callback: () => void): () => void {
  const dueMs = monotonicMs() + remainingMs;
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const leftMs = dueMs - monotonicMs();
    if (leftMs <= 0) callback();
    else timer = setTimeout(arm, Math.min(leftMs, timerMsMax));
  };
  timer = setTimeout(arm, Math.min(Math.max(remainingMs, 0), timerMsMax));
  return () => clearTimeout(timer);
}
