// The access token that was just made, for the one view that shows it. In memory only: never in the address, never in the
// browser's storage, and forgotten when the reader leaves.
import { effect, signal } from '@preact/signals';
import { session } from '../../session-state.ts';

interface FreshToken {
  readonly instanceId: string;
  readonly token: string;
}

const fresh = signal<FreshToken | undefined>(undefined);

effect(() => {
  if (!session.value) fresh.value = undefined;
});

/** The token made for this instance just now, if one was. */
export function freshToken(instanceId: string): string | undefined {
  return fresh.value?.instanceId === instanceId ? fresh.value.token : undefined;
}

export function keepToken(instanceId: string, token: string): void {
  fresh.value = { instanceId, token };
}

export function forgetToken(instanceId: string): void {
  if (fresh.peek()?.instanceId === instanceId) fresh.value = undefined;
}
