// Makes a user, or changes one.
import type { UserView } from '../../../api/contract.ts';
import { send } from '../../api/client.ts';
import { SelectField, TextField } from '../../components/fields.tsx';
import { FormDialog, useForm } from '../../components/form-dialog.tsx';
import { say } from '../../toasts.ts';

interface EditUserProps {
  /** undefined: a new one. */
  readonly user: UserView | undefined;
  readonly onClose: () => void;
}

export function EditUser({ user, onClose }: EditUserProps) {
  const { bind, values } = useForm({
    email: user?.email ?? '',
    name: user?.name ?? '',
    role: user?.role ?? 'user',
    quota: String(user?.max_instances ?? ''),
  });
  const save = async (): Promise<void> => {
    const quota = values.quota.trim();
    const fields = {
      name: values.name.trim(),
      role: values.role,
      max_instances: quota === '' ? null : Number(quota),
    };
    if (user === undefined) await send('POST', '/users', { email: values.email.trim(), ...fields });
    else await send('PATCH', `/users/${user.id}`, fields);
    say(user === undefined ? `${values.email} is made` : `${user.email} is changed`);
  };
  return (
    <FormDialog
      title={user === undefined ? 'New user' : `Edit ${user.email}`}
      verb={user === undefined ? 'Make' : 'Save'}
      onSend={save}
      onClose={onClose}
    >
      {(problem) => (
        <>
          {user === undefined && (
            <TextField
              label="E-mail"
              type="email"
              isRequired
              {...bind('email')}
              error={problem?.fieldMessage('/email')}
            />
          )}
          <TextField label="Name" isRequired {...bind('name')} error={problem?.fieldMessage('/name')} />
          <div class="field-row">
            <SelectField
              label="Role"
              isRequired
              {...bind('role')}
              options={[
                ['user', 'user'],
                ['admin', 'admin'],
              ]}
              hint="Admins see everyone's, and change the installation"
              error={problem?.fieldMessage('/role')}
            />
            <TextField
              label="Instances at most"
              type="number"
              placeholder="as set for all"
              {...bind('quota')}
              error={problem?.fieldMessage('/max_instances')}
            />
          </div>
          {user === undefined && (
            <p class="hint">They log in with an API token: their menu in the list makes one for them.</p>
          )}
        </>
      )}
    </FormDialog>
  );
}
