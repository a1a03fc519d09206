// A token bucket: so many at once, so many a second after that.
import { monotonicMs } from '../base/clock.ts';

export interface Pace {
  /** Whether one more may pass now. */
  take(): boolean;
}

/** Makes a full bucket of `burst`, refilled by `perSecond`. */
export function createPace(burst: number, perSecond: number): Pace {
  let left = burst;
  let atMs = monotonicMs();
  return {
    take() {
      const now = monotonicMs();
      left = Math.min(burst, left + ((now - atMs) / 1_000) * perSecond);
      atMs = now;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
