// Stores or replaces an API key. What is typed is never shown, and forgotten as soon as it was sent.
import { useSignal } from '@preact/signals';
import type { McpTypeView, StoredApiKeyView } from '../../../api/contract.ts';
import { send } from '../../api/client.ts';
import { CheckField, TextField } from '../../components/fields.tsx';
import { FormDialog, timeOf, useForm } from '../../components/form-dialog.tsx';
import { say } from '../../toasts.ts';
import { type Roll, Rolled } from './rolled.tsx';

interface StoreKeyProps {
  readonly type: McpTypeView;
  readonly isReplacing: boolean;
  readonly onClose: () => void;
}

export function StoreKey({ type, isReplacing, onClose }: StoreKeyProps) {
  const { bind, values } = useForm({ key: '', expires: '' });
  const mayRoll = useSignal(isReplacing);
  const isMissing = useSignal(false);
  const rolled = useSignal<Roll | undefined>(undefined);
  const check = (): boolean => {
    isMissing.value = values.key.trim() === '';
    return !isMissing.value;
  };
  const store = async (): Promise<void> => {
    const body = {
      api_key: values.key.trim(),
      expires_at: timeOf(values.expires),
      ...(mayRoll.value ? { roll: true } : {}),
    };
    const stored = await send<StoredApiKeyView>('PUT', `/api-keys/${encodeURIComponent(type.name)}`, body);
    bind('key').onValue('');
    rolled.value = stored.roll;
    say(`The key for ${type.display_name} is stored`);
  };
  if (rolled.value) return <Rolled type={type} roll={rolled.value} onClose={onClose} />;
  return (
    <FormDialog
      title={`${isReplacing ? 'Replace' : 'Store'} the key for ${type.display_name}`}
      verb={isReplacing ? 'Replace' : 'Store'}
      onCheck={check}
      onSend={store}
      onClose={() => {
        if (rolled.peek() === undefined) onClose();
      }}
    >
      {(problem) => (
        <>
          <TextField
            label="API key"
            type="password"
            autocomplete="off"
            isMono
            isRequired
            {...bind('key')}
            hint={
              <>
                Its instances get it as <code>{type.key_variable}</code>. It is not shown again.
              </>
            }
            error={isMissing.value ? 'Paste the key.' : problem?.fieldMessage('/api_key')}
          />
          <TextField
            label="Expires"
            type="datetime-local"
            {...bind('expires')}
            hint="From then on it is not given to new instances"
            error={problem?.fieldMessage('/expires_at')}
          />
          <CheckField
            label="Put it into what runs of this type now"
            checked={mayRoll.value}
            onChecked={(isWanted) => {
              mayRoll.value = isWanted;
            }}
          />
        </>
      )}
    </FormDialog>
  );
}
