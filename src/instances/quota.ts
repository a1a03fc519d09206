// The quotas of a user, held inside the transaction that takes another instance: the user's row is locked first, so that
// of many who ask at once each counts what the one before took. It refuses with quota_exceeded and rate_limited.
import { Fault } from '../base/errors.ts';
import type { Tx } from '../db/pool.ts';
import { countAgainstQuota } from '../db/queries/instances.ts';
import { lockUserForQuota, secondsUntilCreation } from '../db/queries/quota.ts';

/**
 * Locks the user's row until the transaction ends and makes sure that one more instance fits.
 * @param general the quota of users who have none of their own
 */
export async function holdQuota(tx: Tx, userId: string, general: number): Promise<void> {
  const user = await lockUserForQuota(tx, userId);
  if (user === undefined) throw new Fault('forbidden', 'this user is disabled or gone');
  const quota = user.max_instances ?? general;
  const used = await countAgainstQuota(tx, userId);
  if (used >= quota) {
    throw new Fault('quota_exceeded', `you have ${used} instances at work and may have ${quota}`, {
      retryAfterS: 60,
    });
  }
}

/** Makes sure that the user has created fewer than `perHour` instances within the last hour. After holdQuota. */
export async function holdCreations(tx: Tx, userId: string, perHour: number): Promise<void> {
  const waitS = await secondsUntilCreation(tx, userId, perHour);
  if (waitS === 0) return;
  throw new Fault(
    'rate_limited',
    `you have created ${perHour} instances within an hour, and may not create more`,
    {
      retryAfterS: waitS,
    },
  );
}
