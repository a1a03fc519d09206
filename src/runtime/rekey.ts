// Puts a replaced API key into a living generation, by way of its shim, and gives the two children it has meanwhile room
// for two. What a supervisor began and did not live to see is settled by the next one, from what the shim says.
import { sleep } from '../base/clock.ts';
import type { KeyChange, ShimState } from '../shim/contract.ts';
import { resizeGroup } from './cgroups.ts';
import type { Handle, News, Rekeyed } from './driver.ts';
import { fenced, recordOf } from './generations.ts';
import { keyOf } from './links.ts';
import type { LocalState } from './local-state.ts';
import { type ShimClient, ShimRefusal } from './shim-client.ts';

const answerMs = 2_000;
const lookMsMin = 20;
const lookMsMax = 250;

/**
 * Resolves once the new key is what the instance is called with, or is known not to be.
 * @throws Fault node_fenced; Error when the shim cannot be asked
 */
export async function rekeyGeneration(
  state: LocalState,
  handle: Handle,
  key: KeyChange,
  signal: AbortSignal,
): Promise<Rekeyed> {
  const name = keyOf(handle);
  const client = await state.links.client(handle, answerMs);
  state.rekeying.add(name);
  try {
    await giveRoom(state, handle, true);
    const told = await tell(client, key);
    return told === undefined ? { outcome: 'unsupported' } : await settled(client, told, key, signal);
  } finally {
    state.rekeying.delete(name);
    // News may have come meanwhile that its room was not taken back for. What fails now is tried with the next.
    const now = await client.ask({ method: 'state' }, answerMs).catch(() => undefined);
    if (now !== undefined) await giveRoom(state, handle, hasTwo(now)).catch(() => {});
  }
}

/** Has the shim begin. @returns undefined from one that is older than this request */
async function tell(client: ShimClient, key: KeyChange): Promise<ShimState | undefined> {
  try {
    return await client.ask({ method: 'key', key }, answerMs);
  } catch (error) {
    if (error instanceof ShimRefusal && error.code === 'fenced') throw fenced(error);
    if (error instanceof ShimRefusal && error.code === 'malformed') return undefined;
    throw error;
  }
}

async function settled(
  client: ShimClient,
  told: ShimState,
  { version }: KeyChange,
  signal: AbortSignal,
): Promise<Rekeyed> {
  let now = told;
  for (let waitMs = lookMsMin; ; waitMs = Math.min(waitMs * 1.5, lookMsMax)) {
    if (now.keyVersion === version) return { outcome: 'moved' };
    const lastLines = now.roll?.lastLines ?? [];
    if (now.roll?.version !== version)
      return {
        outcome: 'refused',
        lastLines: ['Another key is still taking the place of the one before it'],
      };
    if (now.roll.phase === 'failed') return { outcome: 'refused', lastLines };
    await sleep(waitMs, signal);
    now = await client.ask({ method: 'state' }, answerMs);
  }
}

/** Takes back the room for two once there is one, and gives it where an earlier supervisor has begun. */
export async function followRoom(state: LocalState, news: News): Promise<void> {
  if (news.shim === undefined || state.rekeying.has(keyOf(news))) return;
  await giveRoom(state, news, hasTwo(news.shim));
}

function hasTwo({ roll }: ShimState): boolean {
  return roll?.phase === 'proving' || roll?.phase === 'draining';
}

async function giveRoom(
  state: LocalState,
  of: Pick<Handle, 'instanceId' | 'generation'>,
  forTwo: boolean,
): Promise<void> {
  const name = keyOf(of);
  if (state.roomForTwo.get(name) === forTwo) return;
  const record = await recordOf(state, of);
  if (record === undefined) return;
  const { cgroups } = state.isolation;
  if (record.cgroups.length > 0 && cgroups !== null)
    resizeGroup(cgroups, name.replace('/', '.'), record.limits, forTwo ? 2 : 1);
  state.roomForTwo.set(name, forTwo);
}
