// One instance: how it is, what can be done to it, and in tabs how to connect, what it says, what happened to it, what it
// uses and what it can do. The open tab stands in the address.
import { useEffect } from 'preact/hooks';
import type { InstanceView, McpTypeView, UserView } from '../../api/contract.ts';
import { EmptyState, ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Tabs } from '../components/tabs.tsx';
import { hrefOf } from '../hash.ts';
import { latest, removed } from '../live.ts';
import { useReading } from '../reading.ts';
import { place, setQuery } from '../router.ts';
import { isAdmin, may } from '../session-state.ts';
import { Connect } from './instance/connect.tsx';
import { Facts } from './instance/facts.tsx';
import { forgetToken } from './instance/fresh-token.ts';
import { Log } from './instance/log.tsx';
import { Timeline } from './instance/timeline.tsx';
import { Tools } from './instance/tools.tsx';
import { Trouble } from './instance/trouble.tsx';
import { Usage } from './instance/usage.tsx';
import { RowActions } from './instances/row-actions.tsx';

const views = {
  connect: { label: 'Connect', view: Connect },
  log: { label: 'Log', view: Log },
  timeline: { label: 'Timeline', view: Timeline },
  usage: { label: 'Usage', view: Usage },
  tools: { label: 'Tools', view: Tools },
} as const;
type TabId = keyof typeof views;

const tabs = (Object.keys(views) as TabId[]).map((id) => ({ id, label: views[id].label }));

export function InstanceScreen({
  params: { id = '' },
}: {
  readonly params: Readonly<Record<string, string>>;
}) {
  const reading = useReading<InstanceView>(`/instances/${encodeURIComponent(id)}`, { topics: ['instances'] });
  // The token that was just made is shown until one looks elsewhere.
  useEffect(() => () => forgetToken(id), [id]);
  const { data, problem } = reading;
  if (removed.value.has(id) || (data !== undefined && problem?.status === 404))
    return <Gone title={`${data?.name ?? 'This instance'} has been removed.`} />;
  if (problem !== undefined && [400, 404].includes(problem.status))
    return <Gone title="There is no such instance, or it is not yours." />;
  if (data === undefined) {
    return (
      <>
        <PageHead title="Instance" />
        <ReadingView reading={reading} what="The instance">
          {() => null}
        </ReadingView>
      </>
    );
  }
  return <Known instance={latest(data)} />;
}

function Gone({ title }: { readonly title: string }) {
  return (
    <>
      <PageHead title="Instance" />
      <EmptyState title={title}>
        <p>Its log and its events go with it. What it did stays in the audit trail, which admins read.</p>
        <a href={hrefOf('/instances')}>Go to the instances</a>
      </EmptyState>
    </>
  );
}

function Known({ instance }: { readonly instance: InstanceView }) {
  const type = useReading<McpTypeView>(`/mcp-types/${encodeURIComponent(instance.mcp_type)}`, {
    topics: ['types'],
  });
  const owner = useReading<UserView>(
    isAdmin.value && instance.user_id !== null ? `/users/${instance.user_id}` : undefined,
    { topics: ['users'] },
  );
  const wanted = place.value.query.tab;
  const open = isTab(wanted) ? wanted : instance.status === 'running' ? 'connect' : 'timeline';
  const View = views[open].view;
  return (
    <>
      <PageHead title={instance.name} lead={<a href={hrefOf('/instances')}>All instances</a>}>
        {may('instances:write') && <RowActions instance={instance} type={type.data} />}
      </PageHead>
      <Facts instance={instance} type={type.data} owner={owner.data} />
      <Trouble instance={instance} />
      <Tabs
        label="About the instance"
        tabs={tabs}
        open={open}
        // What a tab keeps in the address beside its name is its own.
        onOpen={(tab) => setQuery({ ...cleared(), tab }, { replace: true })}
      >
        <View key={open} instance={instance} />
      </Tabs>
    </>
  );
}

function isTab(id: string | undefined): id is TabId {
  return id !== undefined && id in views;
}

function cleared(): Record<string, undefined> {
  return Object.fromEntries(Object.keys(place.peek().query).map((name) => [name, undefined]));
}
