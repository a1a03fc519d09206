// Prefer: wait=N (RFC 7240): hold the answer until an instance has come to rest or to work. A preference that cannot be
// read is ignored, as the RFC says; a longer wait than is offered is shortened.
import { Fault } from '../base/errors.ts';
import type { Call } from './operation.ts';

const waitSecondsMax = 120;

/** Seconds the caller wants to wait, 0 for not at all. */
export function waitSecondsOf(header: string | readonly string[] | undefined): number {
  const text = typeof header === 'string' ? header : (header ?? []).join(',');
  const wait = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(text)?.[1];
  return Math.min(Number(wait ?? 0), waitSecondsMax);
}

/** Waits as the caller prefers; returns at once when no wait was asked for. An instance that goes meanwhile is settled. */
export async function waitIfPreferred(call: Call<unknown, unknown, unknown>, id: string): Promise<void> {
  const seconds = waitSecondsOf(call.request.headers.prefer);
  if (seconds === 0) return;
  call.reply.header('preference-applied', `wait=${seconds}`);
  try {
    await call.api.manager.settled(id, seconds * 1_000, call.signal);
  } catch (error) {
    if (!(error instanceof Fault && error.code === 'not_found')) throw error;
  }
}
