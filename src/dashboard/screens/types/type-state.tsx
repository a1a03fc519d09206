// Whether a type can be asked for: for admins a switch, for everyone a word.
import { changeType, type TypeView } from '../../api/type-actions.ts';
import { useAction } from '../../components/action.ts';
import { CheckField } from '../../components/fields.tsx';
import { isAdmin } from '../../session-state.ts';
import { say, sayProblem } from '../../toasts.ts';

interface TypeStateProps {
  readonly type: TypeView;
  readonly onChanged: () => void;
}

export function TypeState({ type, onChanged }: TypeStateProps) {
  const action = useAction();
  const { display_name: name, is_active: isOn } = type;
  const missing = !type.available && <span class="under bad">package not installed</span>;
  if (!isAdmin.value)
    return (
      <>
        {isOn ? 'on' : 'off'}
        {missing}
      </>
    );
  const turn = (isWanted: boolean) =>
    action.run(async () => {
      await changeType(type.name, { is_active: isWanted }).catch((error: unknown) => {
        sayProblem(error, `Could not switch ${isWanted ? 'on' : 'off'} ${name}`);
      });
      onChanged();
      if (!isWanted) say(`${name} is off. What runs of it goes on.`);
    });
  return (
    <>
      <CheckField
        isSwitch
        checked={isOn}
        onChecked={turn}
        label={
          <>
            <span class="spoken">{name} is </span>
            {isOn ? 'on' : 'off'}
          </>
        }
      />
      {missing}
    </>
  );
}
