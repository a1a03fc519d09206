// Refused logins as events, bounded: a flood of wrong tokens must not become a flood of rows. What was left out is
// counted and said in the next event that is written. A failure to write one is logged and refuses nobody.
import { monotonicMs } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Db } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';

const windowMs = 60_000;
const perWindowMax = 30;
const perAddressMax = 3;

export interface Refusal {
  readonly address: string | null;
  readonly userAgent: string | null;
  readonly reason: string;
  /** Whose token it was, when it was somebody's. */
  readonly userId: string | null;
}

/** @returns a function that records a refused login, at most 3 a minute per address and 30 in all */
export function createRefusals(db: Db, log: Logger): (refusal: Refusal) => void {
  let windowEndsMs = 0;
  let written = 0;
  let suppressed = 0;
  const perAddress = new Map<string, number>();

  return (refusal) => {
    const now = monotonicMs();
    if (now >= windowEndsMs) {
      windowEndsMs = now + windowMs;
      written = 0;
      perAddress.clear();
    }
    const address = refusal.address ?? 'unknown';
    const ofAddress = perAddress.get(address) ?? 0;
    if (written >= perWindowMax || ofAddress >= perAddressMax) {
      suppressed += 1;
      return;
    }
    written += 1;
    perAddress.set(address, ofAddress + 1);
    const data = { reason: refusal.reason, ...(suppressed === 0 ? {} : { others_not_recorded: suppressed }) };
    suppressed = 0;
    insertEvent(db, {
      instanceId: null,
      userId: refusal.userId,
      actorId: null,
      type: 'login_refused',
      data,
      ip: refusal.address,
      userAgent: refusal.userAgent,
    }).catch((error: unknown) => log.warn({ err: error }, 'a refused login could not be recorded'));
  };
}
