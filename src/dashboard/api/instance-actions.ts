// What can be asked for an instance, with the arithmetic of its lease. Every answer is taken in at once, so that the
// list shows it before the stream says so.
import type { createInstanceSchema, InstanceView, InstanceWithToken } from '../../api/contract.ts';
import { serverNowMs } from '../clock.ts';
import { absorb, forget } from '../live.ts';
import { send } from './client.ts';

export type NewInstance = (typeof createInstanceSchema)['_input'];

async function post(instance: InstanceView, verb: string, body?: unknown): Promise<InstanceView> {
  const view = await send<InstanceView>('POST', `/instances/${instance.id}/${verb}`, body);
  absorb(view);
  return view;
}

export const stop = (instance: InstanceView) => post(instance, 'stop');
export const restart = (instance: InstanceView) => post(instance, 'restart');
/** Starts what is not running: within its lease, or with a new one where that is over. */
export const startAgain = (instance: InstanceView, minutes?: number) =>
  instance.status === 'expired'
    ? post(instance, 'renew', minutes === undefined ? undefined : { duration_minutes: minutes })
    : post(instance, 'restore');

/** Sets the end of the lease to `minutes` from now; the API never makes it shorter. */
export const extendTo = (instance: InstanceView, minutes: number) =>
  post(instance, 'extend', { duration_minutes: minutes });

export function minutesLeft(instance: InstanceView): number {
  return Math.max(0, Date.parse(instance.expires_at) - serverNowMs()) / 60_000;
}

/**
 * Adds to what is left of a lease, up to what the type allows from now.
 * @param maxMinutes the type's max_duration_minutes
 */
export function extendBy(instance: InstanceView, minutes: number, maxMinutes: number): Promise<InstanceView> {
  return extendTo(instance, Math.min(minutesLeft(instance) + minutes, maxMinutes));
}

/** Ends and removes it. What is still ending stays in the list until the stream says that it is gone. */
export async function remove(instance: InstanceView): Promise<void> {
  const ending = await send<InstanceView | undefined>('DELETE', `/instances/${instance.id}`);
  if (ending === undefined) forget(instance.id);
  else absorb(ending);
}

/** The access token is in this answer and nowhere else. */
export async function create(wish: NewInstance): Promise<InstanceWithToken> {
  const created = await send<InstanceWithToken>('POST', '/instances', wish);
  const { access_token: _, ...view } = created;
  absorb(view);
  return created;
}

/** What an instance offers in its status; docs/state-machine.md is the whole truth. */
export function offers(instance: InstanceView) {
  const { status } = instance;
  return {
    stop: status === 'running' || status === 'pending',
    restart: status === 'running',
    extend: status !== 'expired' && status !== 'stopping',
    start: status === 'disconnected' || status === 'error',
    renew: status === 'expired',
    remove: status !== 'stopping' || instance.stop_reason !== 'deleted',
  };
}
