import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extendedUntil, refuseDuration } from '../../src/domain/lease.ts';
import { defaultRestartPolicy, restartDelayMs } from '../../src/domain/restart.ts';

describe('refuseDuration', () => {
  it.each([0, -1, 0.09, 61, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuses %s minutes of a type that allows 60',
    (minutes) => {
      expect(refuseDuration(minutes, 60)).toMatchObject({
        code: 'invalid_field',
        errors: [{ pointer: '/duration_minutes' }],
      });
    },
  );
  it.each([0.1, 0.5, 60])('takes %s', (minutes) => {
    expect(refuseDuration(minutes, 60)).toBeUndefined();
  });
});

describe('extendedUntil', () => {
  const instant = fc.integer({ min: 0, max: 10 ** 9 });
  it('never shortens a lease and never passes the cap unless it was past it already', () => {
    fc.assert(
      fc.property(
        instant,
        instant,
        instant,
        fc.double({ min: 0.1, max: 10_000, noNaN: true }),
        (startedMs, now, lease, minutes) => {
          const leaseStartedAt = new Date(startedMs);
          const expiresAt = new Date(startedMs + lease);
          const end = extendedUntil({
            now: new Date(startedMs + now),
            expiresAt,
            leaseStartedAt,
            minutes,
            maxLeaseMinutes: 1_440,
          });
          expect(end.getTime()).toBeGreaterThanOrEqual(expiresAt.getTime());
          expect(end.getTime()).toBeLessThanOrEqual(
            Math.max(expiresAt.getTime(), startedMs + 1_440 * 60_000),
          );
        },
      ),
    );
  });
});

describe('restartDelayMs', () => {
  it('starts again at once, then backs off to a cap, then gives up', () => {
    const delays = Array.from({ length: 6 }, (_, tries) => restartDelayMs(defaultRestartPolicy, tries));
    expect(delays).toEqual([0, 500, 1_000, 2_000, 4_000, undefined]);
  });
});
