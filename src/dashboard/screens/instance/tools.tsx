// The tools of an instance, and one of them to try: a form drawn from its schema, and what it answered. The chosen tool
// stands in the address; what was typed does not.
import type { InstanceView, ToolView } from '../../../api/contract.ts';
import { offers, startAgain } from '../../api/instance-actions.ts';
import { BusyButton } from '../../components/button.tsx';
import { EmptyState, ReadingView } from '../../components/notices.tsx';
import { hrefOf } from '../../hash.ts';
import { useReading } from '../../reading.ts';
import { place } from '../../router.ts';
import { may } from '../../session-state.ts';
import { ToolForm } from './tool-form.tsx';

export function Tools({ instance }: { readonly instance: InstanceView }) {
  return instance.status === 'running' ? <Running instance={instance} /> : <AtRest instance={instance} />;
}

function AtRest({ instance }: { readonly instance: InstanceView }) {
  const can = offers(instance);
  if (instance.status === 'pending')
    return (
      <EmptyState title="It is starting.">
        <p>Its tools appear here as soon as it runs.</p>
      </EmptyState>
    );
  return (
    <EmptyState title="It does not run, so it cannot be asked for its tools.">
      {may('instances:write') && (can.start || can.renew) && (
        <BusyButton
          kind="primary"
          failure={`Could not start ${instance.name}`}
          onAct={() => startAgain(instance)}
        >
          {can.start ? 'Start it' : 'Renew its lease'}
        </BusyButton>
      )}
    </EmptyState>
  );
}

function Running({ instance }: { readonly instance: InstanceView }) {
  const reading = useReading<readonly ToolView[]>(`/instances/${instance.id}/tools`);
  return (
    <ReadingView reading={reading} what="Its tools">
      {(tools) => {
        const tool = tools.find(({ name }) => name === place.value.query.tool) ?? tools[0];
        if (tool === undefined)
          return (
            <EmptyState title="It offers no tools.">
              <p>Its server may offer prompts or resources only: a client shows those.</p>
            </EmptyState>
          );
        return (
          <div class="tools">
            <nav aria-label="Tools">
              <ul>
                {tools.map(({ name, title }) => (
                  <li key={name}>
                    <a
                      href={hrefOf(`/instances/${instance.id}`, { tab: 'tools', tool: name })}
                      aria-current={name === tool.name ? 'true' : undefined}
                    >
                      {title ?? name}
                    </a>
                  </li>
                ))}
              </ul>
            </nav>
            <ToolForm key={tool.name} instance={instance} tool={tool} />
          </div>
        );
      }}
    </ReadingView>
  );
}
