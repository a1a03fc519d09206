// Who may come in for a moment besides the holder of the access token: the supervisor, which keeps no access token and
// tries a tool for somebody. Held in memory only, so they end with the generation; few at once, and not for long.
import { timingSafeEqual } from 'node:crypto';
import { monotonicMs } from '../base/clock.ts';
import type { Visitor } from './contract.ts';

/** Visitors at once. */
const visitorsMax = 8;
/** Longest one may come in, whatever is asked for. */
const stayMsMax = 60_000;

export interface Visitors {
  /** Lets a token in from now on; one of no time is sent away. @returns false when there are too many */
  admit(visitor: Visitor): boolean;
  /** Whether the token of this SHA-256 may come in now. */
  has(digest: Buffer): boolean;
}

interface Known {
  readonly digest: Buffer;
  readonly untilMs: number;
}

export function createVisitors(): Visitors {
  let known: readonly Known[] = [];
  return {
    admit({ tokenSha256, remainingMs }) {
      const digest = Buffer.from(tokenSha256, 'hex');
      const nowMs = monotonicMs();
      known = known.filter((one) => one.untilMs > nowMs && !one.digest.equals(digest));
      if (remainingMs <= 0) return true;
      if (known.length >= visitorsMax) return false;
      known = [...known, { digest, untilMs: nowMs + Math.min(remainingMs, stayMsMax) }];
      return true;
    },
    has(digest) {
      if (known.length === 0) return false;
      const nowMs = monotonicMs();
      return known.some((one) => timingSafeEqual(one.digest, digest) && one.untilMs > nowMs);
    },
  };
}
