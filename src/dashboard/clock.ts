// The daemon's time as this page knows it, and the one timer of the page. Leases are decided by the daemon's clock, so
// every countdown counts on what its answers said, never on this computer's clock alone.
import { computed, signal } from '@preact/signals';

/** This computer's clock. May be wrong: only differences of it are used. */
export function localMs(): number {
  return Date.now();
}

const skewMs = signal(0);
let bestRttMs = Number.POSITIVE_INFINITY;

/**
 * Learns from an answer how far the daemon's clock is from ours. The quickest answer is the most exact one; a difference
 * that no round trip explains means that a clock was set, and is believed at once.
 */
export function learnServerTime(serverTime: string, sentMs: number, receivedMs = localMs()): void {
  const rttMs = receivedMs - sentMs;
  const sample = Date.parse(serverTime) - (sentMs + receivedMs) / 2;
  if (Number.isNaN(sample)) return;
  if (rttMs > bestRttMs && Math.abs(sample - skewMs.peek()) < 2_000 + rttMs) return;
  bestRttMs = rttMs;
  skewMs.value = sample;
}

let timer: number | undefined;
let isWatched = false;

/** This computer's clock once a second, while the page is visible and somebody looks at it. */
const tick = signal(localMs(), {
  watched: () => {
    isWatched = true;
    arm();
  },
  unwatched: () => {
    isWatched = false;
    disarm();
  },
});

function arm(): void {
  if (timer !== undefined || document.hidden) return;
  queueMicrotask(() => {
    tick.value = localMs();
  });
  timer = window.setInterval(() => {
    tick.value = localMs();
  }, 1_000);
}

function disarm(): void {
  window.clearInterval(timer);
  timer = undefined;
}

/** The daemon's time in milliseconds; reading it in a component or computed makes that follow once a second. */
export const serverNow = computed(() => tick.value + skewMs.value);

/** The daemon's time at this moment, for arithmetic in an action. */
export function serverNowMs(): number {
  return localMs() + skewMs.peek();
}

/** Calls `callback` about every `seconds`, off the same timer. @returns a function that ends it */
export function every(seconds: number, callback: () => void): () => void {
  let lastMs = localMs();
  return tick.subscribe((nowMs) => {
    if (nowMs - lastMs < seconds * 1_000 - 500) return;
    lastMs = nowMs;
    callback();
  });
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) disarm();
  else if (isWatched) arm();
});
