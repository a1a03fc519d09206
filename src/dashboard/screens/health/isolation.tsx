// How well this machine can keep instances apart, and why not better.
import { Section } from '../../components/sheet.tsx';
import type { HealthDetails } from './report.ts';

export function Isolation({
  isolation: { level, missing },
}: {
  readonly isolation: HealthDetails['isolation'];
}) {
  return (
    <Section title={`Isolation level ${level}`}>
      {missing.length === 0 ? (
        <p class="soft">The highest there is.</p>
      ) : (
        <>
          <p class="soft">What this machine lacks for more:</p>
          <ul class="lines-list">
            {missing.map((rung) => (
              <li key={rung.level}>
                <b>{rung.level}</b> {rung.meaning}: <span class="soft">{rung.reason}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Section>
  );
}
