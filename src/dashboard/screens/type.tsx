// One type: what it runs, what it is told and may use, and what starting it once has shown. Admins change it here.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { removeType, type TypeView, tryType } from '../api/type-actions.ts';
import { BusyButton, Button } from '../components/button.tsx';
import { Confirm } from '../components/dialog.tsx';
import { ReadingView } from '../components/notices.tsx';
import { PageHead } from '../components/page-head.tsx';
import { hrefOf } from '../hash.ts';
import { useReading } from '../reading.ts';
import { go, place, setQuery } from '../router.ts';
import { isAdmin, may } from '../session-state.ts';
import { say } from '../toasts.ts';
import { EditType } from './types/edit-type.tsx';
import { TrialView } from './types/trial.tsx';
import { Inputs, Limits, TypeFacts } from './types/type-facts.tsx';
import { TypeState } from './types/type-state.tsx';

export function TypeScreen({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const { name = '' } = params;
  const isTrying = useSignal(false);
  const type = useReading<TypeView>(`/mcp-types/${encodeURIComponent(name)}`, {
    topics: ['types'],
    // Nothing is written when a trial is over: it is looked for while one is waited for.
    ...(isTrying.value ? { everySeconds: 1 } : {}),
  });
  const { data } = type;
  const isWaiting = data?.trial?.state === 'waiting';
  useEffect(() => {
    isTrying.value = isWaiting;
  }, [isWaiting, isTrying]);
  const isEditing = place.value.query.edit !== undefined && isAdmin.value;
  return (
    <>
      <p class="back">
        <a href={hrefOf('/types')}>Types</a>
      </p>
      <PageHead title={data?.display_name ?? name} lead={data?.description}>
        {data && <Actions type={data} onChanged={type.reload} />}
      </PageHead>
      <ReadingView reading={type} what="The type">
        {(shown) => (
          <>
            <TypeFacts type={shown} />
            <Inputs type={shown} />
            <Limits type={shown} />
            {shown.trial && <TrialView trial={shown.trial} />}
          </>
        )}
      </ReadingView>
      {data && isEditing && (
        <EditType
          type={data}
          onClose={() => {
            setQuery({ edit: undefined }, { replace: true });
            type.reload();
          }}
        />
      )}
    </>
  );
}

function Actions({ type, onChanged }: { readonly type: TypeView; readonly onChanged: () => void }) {
  const asksRemoval = useSignal(false);
  const { name, display_name: title } = type;
  const isForeign = type.origin === 'admin';
  return (
    <>
      <TypeState type={type} onChanged={onChanged} />
      {isAdmin.value && <Button onClick={() => setQuery({ edit: '1' })}>Edit</Button>}
      {isAdmin.value && isForeign && (
        <>
          <BusyButton
            failure={`Could not try ${title}`}
            onAct={async () => {
              await tryType(name);
              onChanged();
            }}
          >
            Try it again
          </BusyButton>
          <Button
            kind="danger"
            onClick={() => {
              asksRemoval.value = true;
            }}
          >
            Remove…
          </Button>
        </>
      )}
      {may('instances:write') && type.is_active && type.available && (
        <a class="button primary" href={hrefOf('/instances', { new: name })}>
          Ask for one
        </a>
      )}
      {asksRemoval.value && (
        <Confirm
          title={`Remove ${title}?`}
          verb="Remove"
          onClose={() => {
            asksRemoval.value = false;
          }}
          onConfirm={async () => {
            await removeType(name);
            say(`${title} is removed`);
            go(hrefOf('/types'));
          }}
        >
          <p>Nobody can ask for it any more. A type that somebody has used can only be switched off.</p>
        </Confirm>
      )}
    </>
  );
}
