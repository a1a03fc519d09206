// What starting a type's server once has shown: whether it answers, and its tools. For an admin to decide by.
import type { Trial } from '../../api/type-actions.ts';
import { Notice } from '../../components/notices.tsx';
import { Section, Sheet } from '../../components/sheet.tsx';
import { Ago } from '../../components/time.tsx';
import { countOf, formatSpan } from '../../format.ts';

const states: Readonly<Record<Trial['state'], string>> = {
  waiting: 'Its server is about to be started once, to see what it is…',
  passed: 'Its server was started once, without a network and without a real key, and answered.',
  failed: 'Its server was started once, and did not answer as an MCP server does.',
  skipped: 'Its server was not started: here it could have done harm.',
};

export function TrialView({ trial }: { readonly trial: Trial }) {
  const { state, problem, server, tools } = trial;
  return (
    <Section title="What trying it has shown">
      <Notice>
        <p role="status" class={state === 'failed' ? 'bad' : ''}>
          {states[state]}
        </p>
        {problem && <p>{problem}</p>}
      </Notice>
      {trial.last_lines.length > 0 && <pre class="lines">{trial.last_lines.join('\n')}</pre>}
      <Sheet
        facts={[
          ['Tried', trial.at === null ? undefined : <Ago time={trial.at} />],
          ['Isolation', trial.isolation ?? undefined],
          ['Answered after', trial.duration_ms === null ? undefined : formatSpan(trial.duration_ms)],
          ['Revision', trial.protocol_version ?? undefined],
          ['Says it is', server ? `${server.name} ${server.version}` : undefined],
        ]}
      />
      {tools.length > 0 && (
        <>
          <h3>{countOf(trial.tools_total, 'tool')}</h3>
          <ul class="lines-list">
            {tools.map((tool) => (
              <li key={tool.name}>
                <code>{tool.name}</code> {tool.description ?? tool.title}
              </li>
            ))}
          </ul>
          {tools.length < trial.tools_total && (
            <p class="hint">And {trial.tools_total - tools.length} more.</p>
          )}
        </>
      )}
    </Section>
  );
}
