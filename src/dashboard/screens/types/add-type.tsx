// Brings in a type from outside: an npm package or a server.json. It stays off until an admin has seen what it is.
import { useSignal } from '@preact/signals';
import { addType } from '../../api/type-actions.ts';
import { AreaField } from '../../components/fields.tsx';
import { FormDialog, useForm } from '../../components/form-dialog.tsx';
import { hrefOf } from '../../hash.ts';
import { go } from '../../router.ts';
import { say } from '../../toasts.ts';

export function AddType({ onClose }: { readonly onClose: () => void }) {
  const { bind, values } = useForm({ source: '' });
  const fault = useSignal<string | undefined>(undefined);
  const added = useSignal('');
  const check = (): boolean => {
    fault.value = faultOf(values.source.trim());
    return fault.value === undefined;
  };
  const send = async (): Promise<void> => {
    const type = await addType(values.source);
    added.value = type.name;
    say(`${type.display_name} is added`);
  };
  return (
    <FormDialog
      title="Add a type"
      verb="Add"
      onCheck={check}
      onSend={send}
      onClose={() =>
        added.value === '' ? onClose() : go(hrefOf(`/types/${added.value}`), { replace: true })
      }
    >
      {(problem) => (
        <>
          <AreaField
            label="npm package or server.json"
            isRequired
            isMono
            rows={7}
            placeholder="npm:@modelcontextprotocol/server-memory"
            {...bind('source')}
            hint="npm:PACKAGE, npm:PACKAGE@VERSION, or the whole text of a server.json"
            error={fault.value ?? problem?.fieldMessage('/source')}
          />
          <p class="hint">
            Its package is fetched once, without running any script of it. What it is stands on its page,
            where you decide whether it is on.
          </p>
        </>
      )}
    </FormDialog>
  );
}

function faultOf(text: string): string | undefined {
  if (text === '') return 'Name a package, or paste a server.json.';
  if (/^https?:/.test(text))
    return 'Open that address, and paste what is there: this page reads nothing from elsewhere.';
  if (!text.startsWith('{')) return undefined;
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return `This is no JSON: ${error instanceof Error ? error.message : error}`;
  }
}
