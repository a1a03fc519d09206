// Makes an API token: what it may do, until when, from where and how often; and shows it, once.
import { useSignal } from '@preact/signals';
import type { ApiTokenView, UserView } from '../../../api/contract.ts';
import type { Scope } from '../../../domain/scopes.ts';
import { send } from '../../api/client.ts';
import { Button } from '../../components/button.tsx';
import { CopyLine } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { CheckField, SelectField, TextField } from '../../components/fields.tsx';
import { FormDialog, timeOf, useForm } from '../../components/form-dialog.tsx';
import { useReading } from '../../reading.ts';
import { isAdmin, may, session } from '../../session-state.ts';

interface NewTokenProps {
  /** The id of whose it is to be; undefined: the reader's. */
  readonly forUser: string | undefined;
  readonly onClose: () => void;
}

const all: readonly (readonly [scope: Scope, meaning: string])[] = [
  ['instances:read', 'see instances, their logs and tools'],
  ['instances:write', 'ask for, change and remove instances'],
  ['keys:read', 'see which API keys are stored'],
  ['keys:write', 'store and remove API keys'],
  ['tokens:write', 'make and revoke API tokens'],
  ['metrics:read', 'read the figures of the installation'],
  ['admin', "everything, and everyone's"],
];
const usual: readonly Scope[] = ['instances:read', 'instances:write', 'keys:read', 'keys:write'];

export function NewToken({ forUser, onClose }: NewTokenProps) {
  const offered = all.filter(([scope]) => may(scope));
  const { bind, values } = useForm({
    name: '',
    user: forUser ?? session.value?.user.id ?? '',
    expires: '',
    networks: '',
    rate: '',
  });
  const scopes = useSignal<readonly Scope[]>(usual.filter((scope) => may(scope)));
  const faults = useSignal<{ readonly name?: boolean; readonly scopes?: boolean }>({});
  const made = useSignal<(ApiTokenView & { readonly api_token: string }) | undefined>(undefined);
  const users = useReading<readonly UserView[]>(isAdmin.value ? '/users' : undefined, {
    query: { limit: 200 },
    pagesMax: 5,
  });
  const check = (): boolean => {
    faults.value = { name: values.name.trim() === '', scopes: scopes.value.length === 0 };
    return !faults.value.name && !faults.value.scopes;
  };
  const make = async (): Promise<void> => {
    const networks = values.networks.split(/[\s,]+/).filter(Boolean);
    made.value = await send('POST', '/tokens', {
      name: values.name.trim(),
      scopes: scopes.value,
      expires_at: timeOf(values.expires),
      allowed_cidrs: networks.length === 0 ? null : networks,
      rate_limit_per_minute: values.rate.trim() === '' ? null : Number(values.rate),
      ...(isAdmin.value && values.user !== '' ? { user_id: values.user } : {}),
    });
  };
  if (made.value) return <Made name={made.value.name} token={made.value.api_token} onClose={onClose} />;
  const people = users.data?.map(({ id, email }) => [id, email] as const);
  return (
    <FormDialog
      title="New token"
      verb="Make"
      onCheck={check}
      onSend={make}
      onClose={() => {
        if (made.peek() === undefined) onClose();
      }}
    >
      {(problem) => (
        <>
          <TextField
            label="Name"
            isRequired
            {...bind('name')}
            hint="What it is for: laptop, build server"
            error={faults.value.name ? 'Give it a name.' : problem?.fieldMessage('/name')}
          />
          {people && <SelectField label="Whose" isRequired {...bind('user')} options={people} />}
          <fieldset class="choices">
            <legend class="label">It may</legend>
            {offered.map(([scope, meaning]) => (
              <CheckField
                key={scope}
                checked={scopes.value.includes(scope)}
                onChecked={(isOn) => {
                  const rest = scopes.value.filter((each) => each !== scope);
                  scopes.value = isOn ? [...rest, scope] : rest;
                }}
                label={
                  <>
                    <code>{scope}</code> <span class="soft">{meaning}</span>
                  </>
                }
              />
            ))}
            {faults.value.scopes && (
              <p class="field-error" role="alert">
                Choose what it may do.
              </p>
            )}
          </fieldset>
          <div class="field-row">
            <TextField
              label="Expires"
              type="datetime-local"
              {...bind('expires')}
              hint="Never, if you say nothing"
              error={problem?.fieldMessage('/expires_at')}
            />
            <TextField
              label="Requests a minute"
              type="number"
              {...bind('rate')}
              error={problem?.fieldMessage('/rate_limit_per_minute')}
            />
          </div>
          <TextField
            label="Only from networks"
            isMono
            placeholder="10.0.0.0/8, 2001:db8::/32"
            {...bind('networks')}
            hint="Anywhere, if you say nothing"
            error={
              problem?.fieldMessage('/allowed_cidrs') ??
              problem?.fields.find(({ pointer }) => pointer.startsWith('/allowed_cidrs'))?.message
            }
          />
        </>
      )}
    </FormDialog>
  );
}

interface MadeProps {
  readonly name: string;
  readonly token: string;
  readonly onClose: () => void;
}

function Made({ name, token, onClose }: MadeProps) {
  return (
    <Dialog title={name} onClose={onClose} isSticky>
      <div class="dialog-body">
        <div>
          <p class="label">API token</p>
          <CopyLine text={token} what="API token" />
          <p class="hint">Shown only now: it is not stored. Whoever has it can do what it may.</p>
        </div>
      </div>
      <footer class="dialog-foot">
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </footer>
    </Dialog>
  );
}
