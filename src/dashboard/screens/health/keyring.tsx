// The master keys that seal everyone's API keys: which there are, a new one, sealing again, taking an old one out.
import { useSignal } from '@preact/signals';
import type { MasterKeyView } from '../../../api/contract.ts';
import { send } from '../../api/client.ts';
import { Button } from '../../components/button.tsx';
import { Confirm } from '../../components/dialog.tsx';
import { ReadingView } from '../../components/notices.tsx';
import { Section } from '../../components/sheet.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Ago } from '../../components/time.tsx';
import { countOf } from '../../format.ts';
import { useReading } from '../../reading.ts';
import { say } from '../../toasts.ts';
import type { HealthDetails } from './report.ts';

interface Step {
  readonly title: string;
  readonly verb: string;
  readonly text: string;
  readonly act: () => Promise<unknown>;
}

const addStep: Step = {
  title: 'Add a master key?',
  verb: 'Add',
  text: 'It seals what is stored from now on. What is there already stays under the older ones until you seal it again.',
  act: async () => {
    const { key_id: id } = await send<{ readonly key_id: string }>('POST', '/keyring');
    say(`Master key ${id} is added`);
  },
};

const rotateStep: Step = {
  title: 'Seal every API key again?',
  verb: 'Seal again',
  text: 'Each is opened and sealed under the newest master key. Instances notice nothing.',
  act: async () => {
    const { moved, failed } = await send<{ readonly moved: number; readonly failed: number }>(
      'POST',
      '/keyring/rotate',
    );
    say(
      `${countOf(moved, 'API key')} sealed again${failed > 0 ? `, ${failed} failed: ask for it again` : ''}`,
    );
  },
};

const retireStep = (id: string): Step => ({
  title: `Retire master key ${id}?`,
  verb: 'Retire',
  text: 'It is taken out for good. A backup made while it sealed something can then be opened only with a copy of it.',
  act: async () => {
    await send('POST', `/keyring/${encodeURIComponent(id)}/retire`);
    say(`Master key ${id} is retired`);
  },
});

export function Keyring({ keys }: { readonly keys: HealthDetails['keys'] }) {
  const ring = useReading<readonly MasterKeyView[]>('/keyring', { query: { limit: 200 }, topics: ['keys'] });
  const asked = useSignal<Step | undefined>(undefined);
  const ask = (step: Step) => (): void => {
    asked.value = step;
  };
  const step = asked.value;
  return (
    <Section
      title="Master keys"
      actions={
        <>
          <Button onClick={ask(rotateStep)}>Seal again…</Button>
          <Button onClick={ask(addStep)}>Add a key…</Button>
        </>
      }
    >
      {keys.problem && <p class="bad">{keys.problem}</p>}
      <ReadingView reading={ring} what="The master keys">
        {(rows) => (
          <Table
            caption="Master keys"
            columns={columns((id) => ask(retireStep(id)))}
            rows={rows}
            idOf={({ key_id: id }) => id}
          />
        )}
      </ReadingView>
      {step && (
        <Confirm
          title={step.title}
          verb={step.verb}
          onConfirm={step.act}
          onClose={() => {
            asked.value = undefined;
            ring.reload();
          }}
        >
          <p>{step.text}</p>
        </Confirm>
      )}
    </Section>
  );
}

const states: Readonly<Record<MasterKeyView['state'], string>> = {
  active: 'seals and opens',
  decrypt: 'only opens',
  retired: 'retired',
};

const columns = (onRetire: (id: string) => () => void): readonly Column<MasterKeyView>[] => [
  { id: 'key', label: 'Key', isTitle: true, cell: ({ key_id: id }) => <code>{id}</code> },
  { id: 'state', label: 'State', cell: ({ state }) => states[state] },
  { id: 'sealed', label: 'API keys under it', cell: ({ sealed_keys: count }) => count },
  { id: 'made', label: 'Made', cell: ({ created_at: time }) => <Ago time={time} /> },
  {
    id: 'actions',
    label: 'Actions',
    isLabelHidden: true,
    align: 'end',
    cell: ({ key_id: id, state }) =>
      state === 'decrypt' && (
        <Button kind="quiet" label={`Retire ${id}`} onClick={onRetire(id)}>
          Retire…
        </Button>
      ),
  },
];
