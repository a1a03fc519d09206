// Takes this machine out of service. Asks for a word: it cannot be taken back from here.
import { useSignal } from '@preact/signals';
import { send } from '../../api/client.ts';
import { Button } from '../../components/button.tsx';
import { CheckField } from '../../components/fields.tsx';
import { TypedConfirm } from '../../components/form-dialog.tsx';
import { say } from '../../toasts.ts';

export function Drain() {
  const asks = useSignal(false);
  const endsAll = useSignal(false);
  const drain = async (): Promise<void> => {
    const { node_id: node } = await send<{ readonly node_id: string }>('POST', '/drain', {
      end_instances: endsAll.value,
    });
    say(endsAll.value ? `${node} ends everything, and then itself` : `${node} takes no new work`);
  };
  return (
    <>
      <Button
        kind="danger"
        onClick={() => {
          asks.value = true;
        }}
      >
        Drain…
      </Button>
      {asks.value && (
        <TypedConfirm
          title="Drain this node?"
          verb="Drain"
          word="drain"
          onSend={drain}
          onClose={() => {
            asks.value = false;
          }}
        >
          <p>
            It takes no new work from now on: nothing can be asked for, started or renewed here. What runs
            goes on until its lease is over. Only starting the daemon again takes it back into service.
          </p>
          <CheckField
            label="End every instance now, and then the daemon"
            checked={endsAll.value}
            onChecked={(isWanted) => {
              endsAll.value = isWanted;
            }}
          />
        </TypedConfirm>
      )}
    </>
  );
}
