// Who is logged in. Only session.ts and the API client write it; everything else reads.
import { computed, signal } from '@preact/signals';
import type { SessionView } from '../api/contract.ts';
import type { Scope } from '../domain/scopes.ts';

/** undefined: not known yet; null: nobody. */
export const session = signal<SessionView | null | undefined>(undefined);

/** Why the last session ended, to be said on the login screen. */
export const endedBecause = signal<string | undefined>(undefined);

export const isAdmin = computed(() => session.value?.acts_as_admin ?? false);

/** Whether the session may do what needs this scope. */
export function may(scope: Scope): boolean {
  return isAdmin.value || (session.value?.scopes.includes(scope) ?? false);
}
