// Asks before a user is disabled, enabled or erased, and says what ends with it.
import type { UserView } from '../../../api/contract.ts';
import { send } from '../../api/client.ts';
import { Confirm } from '../../components/dialog.tsx';
import { TypedConfirm } from '../../components/form-dialog.tsx';
import { say } from '../../toasts.ts';

export interface Asked {
  readonly what: 'disable' | 'enable' | 'erase';
  readonly user: UserView;
}

interface UserQuestionProps {
  readonly asked: Asked;
  readonly onClose: () => void;
}

/** An erasure that takes longer goes on without being watched. */
const looksMax = 20;
const lookMs = 1_000;

export function UserQuestion({ asked: { what, user }, onClose }: UserQuestionProps) {
  const { id, email } = user;
  if (what === 'erase')
    return (
      <TypedConfirm
        title={`Erase ${email}?`}
        verb="Erase"
        word={email}
        onSend={() => erase(user)}
        onClose={onClose}
      >
        <p>
          Their instances are ended and wiped, their keys, tokens and logs are deleted. The audit trail stays,
          without their name. This cannot be undone.
        </p>
        <p>What is held about them can be exported first.</p>
      </TypedConfirm>
    );
  const isDisabling = what === 'disable';
  return (
    <Confirm
      title={`${isDisabling ? 'Disable' : 'Enable'} ${email}?`}
      verb={isDisabling ? 'Disable' : 'Enable'}
      onClose={onClose}
      onConfirm={async () => {
        await send('PATCH', `/users/${id}`, { disabled: isDisabling });
        say(`${email} is ${what}d`);
      }}
    >
      <p>
        {isDisabling
          ? 'Their instances are stopped, they are logged out, and their tokens are refused from the next request on. Nothing is deleted: enabling them gives all of it back.'
          : 'Their tokens count again, and they can start their instances again.'}
      </p>
    </Confirm>
  );
}

/** Asked again until all is gone: the answer has a body while it is going. */
async function erase({ id, email }: UserView): Promise<void> {
  for (let looks = 0; looks < looksMax; looks += 1) {
    if ((await send<unknown>('DELETE', `/users/${id}`)) === undefined) return say(`${email} is erased`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  say(
    `${email} is being erased. What they ran takes a while to end: erase again to see whether all is gone.`,
  );
}
