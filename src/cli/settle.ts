// Waits until an instance has come to rest after something was asked of it. The API is asked again and again: it, not
// a guess about time, says when. Gives up quietly after its bound; the caller shows what is then true.
import type { InstanceView } from '../api/contract.ts';
import { monotonicMs, sleep } from '../base/clock.ts';
import { isNotFound } from './api-error.ts';
import type { Context } from './context.ts';

const settleMsMax = 60_000;
const pollMs = 250;

/** The instance once it is neither pending nor stopping, or as it is after a minute; undefined once it is removed. */
export async function settled(context: Context, id: string): Promise<InstanceView | undefined> {
  const endMs = monotonicMs() + settleMsMax;
  for (;;) {
    const instance = await context.api
      .one<InstanceView>('GET', `/instances/${id}`)
      .catch((error: unknown) => (isNotFound(error) ? undefined : Promise.reject(error)));
    const moving = instance?.status === 'pending' || instance?.status === 'stopping';
    if (!moving || monotonicMs() > endMs) return instance;
    await sleep(pollMs, context.signal);
  }
}
