// What an admin can do with a user.
import type { UserView } from '../../../api/contract.ts';
import { download } from '../../api/download.ts';
import { Button } from '../../components/button.tsx';
import { Menu } from '../../components/menu.tsx';
import { hrefOf } from '../../hash.ts';
import { go, setQuery } from '../../router.ts';
import type { Asked } from './user-question.tsx';

interface UserMenuProps {
  readonly user: UserView;
  readonly onAsk: (asked: Asked) => void;
}

export function UserMenu({ user, onAsk }: UserMenuProps) {
  const isDisabled = user.disabled_at !== null;
  return (
    <div class="row-actions">
      <Button kind="quiet" label={`Edit ${user.email}`} onClick={() => setQuery({ edit: user.id })}>
        Edit
      </Button>
      <Menu
        label={`More for ${user.email}`}
        items={[
          { label: 'New token for them…', onAct: () => go(hrefOf('/tokens', { new: user.id })) },
          { label: 'Export their data', onAct: () => download(`/users/${user.id}/export`) },
          {
            label: isDisabled ? 'Enable…' : 'Disable…',
            isDanger: !isDisabled,
            onAct: () => onAsk({ what: isDisabled ? 'enable' : 'disable', user }),
          },
          { label: 'Erase…', isDanger: true, onAct: () => onAsk({ what: 'erase', user }) },
        ]}
      />
    </div>
  );
}
