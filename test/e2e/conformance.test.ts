// Every promise of docs/conformance.md, kept by the official suite against a real shim.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { legs, type Outcome, passedOf } from '../support/conformance-legs.ts';

const timeoutMs = 120_000;

describe('the official conformance suite', () => {
  const outcomes = new Map<string, Outcome>();

  for (const leg of legs) {
    it(
      `${leg.name}, ${leg.revision}`,
      async () => {
        const outcome = await leg.run();
        outcomes.set(leg.name, outcome);
        const passed = passedOf(outcome);
        const text = await readFile(join(import.meta.dirname, '../../docs/conformance.md'), 'utf8');
        if (leg.needed > 0) {
          const failed = outcome.reports.filter((report) => report.scored && report.failures.length > 0);
          expect(failed.filter(({ name }) => !text.includes(`\`${name}\``))).toEqual([]);
          const scored = outcome.reports.filter((report) => report.scored);
          expect(scored.length).toBe(leg.revision === '2025-11-25' ? 30 : 37);
        }
        expect(passed.length).toBeGreaterThanOrEqual(leg.needed);
        expect(outcome.childrenMax ?? 1).toBe(1);
      },
      timeoutMs,
    );
  }

  it('server-everything passes no less through the shim than direct', () => {
    const [through, direct] = ['server-everything, through the shim', 'server-everything, direct'].map(
      (name) => passedOf(outcomes.get(name) as Outcome).map((report) => report.name),
    );
    expect(direct?.filter((name) => !through?.includes(name))).toEqual([]);
    expect(direct?.length).toBeGreaterThan(5);
  });

  it('finds nothing in front of the modern server that is not in the server', () => {
    const [through, direct] = ['modern server, through the shim', 'modern server, direct'].map((name) =>
      passedOf(outcomes.get(name) as Outcome).map((report) => report.name),
    );
    expect(direct?.filter((name) => !through?.includes(name))).toEqual([]);
  });
});
