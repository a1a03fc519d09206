// The arithmetic of leases. Pure: every time is given. Durations are minutes where users speak, milliseconds inside.
import { type Fault, fieldFault } from '../base/errors.ts';

/** Shortest lease anyone may ask for, minutes. */
const minutesMin = 0.1;

/**
 * Checks a wish for a lease or an extension.
 * @param maxMinutes the type's max_duration_minutes
 * @returns the fault to answer with, or undefined
 */
export function refuseDuration(minutes: number, maxMinutes: number): Fault | undefined {
  if (Number.isFinite(minutes) && minutes >= minutesMin && minutes <= maxMinutes) return undefined;
  return fieldFault(
    'invalid_field',
    '/duration_minutes',
    `duration_minutes must be a number from ${minutesMin} to ${maxMinutes} for this type; got ${minutes}`,
  );
}

export interface ExtensionInput {
  readonly now: Date;
  readonly expiresAt: Date;
  readonly leaseStartedAt: Date;
  /** Wanted lifetime from now. */
  readonly minutes: number;
  /** Longest the lease may become in total, counted from its start. */
  readonly maxLeaseMinutes: number;
}

/** The new end of a lease: from now, never earlier than it was, never past the cap in total. */
export function extendedUntil(input: ExtensionInput): Date {
  const wanted = input.now.getTime() + input.minutes * 60_000;
  const cap = input.leaseStartedAt.getTime() + input.maxLeaseMinutes * 60_000;
  return new Date(Math.max(input.expiresAt.getTime(), Math.min(wanted, cap)));
}
