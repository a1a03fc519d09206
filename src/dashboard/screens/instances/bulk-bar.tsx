// What can be done to several instances at once. Each is asked for on its own: what is refused for one is said for that
// one, and does not hold up the others.
import { useSignal } from '@preact/signals';
import type { InstanceView, McpTypeView } from '../../../api/contract.ts';
import { extendBy, offers, remove, restart, startAgain, stop } from '../../api/instance-actions.ts';
import { problemOf } from '../../api/problem.ts';
import { BusyButton, Button } from '../../components/button.tsx';
import { Confirm } from '../../components/dialog.tsx';
import { countOf } from '../../format.ts';
import { say, sayProblem } from '../../toasts.ts';

interface BulkBarProps {
  /** The selected instances, as they are now. */
  readonly rows: readonly InstanceView[];
  readonly types: readonly McpTypeView[];
  readonly onClear: () => void;
}

/** So many requests at a time: the browser keeps one connection of six for the stream. */
const lanes = 4;

export function BulkBar({ rows, types, onClear }: BulkBarProps) {
  const asksRemoval = useSignal(false);
  const those = (can: (row: InstanceView) => boolean) => rows.filter(can);
  const stoppable = those((row) => offers(row).stop);
  const startable = those((row) => offers(row).start || offers(row).renew);
  const restartable = those((row) => offers(row).restart);
  const extendable = those((row) => offers(row).extend);
  const removable = those((row) => offers(row).remove);
  const extend = (minutes: number) => (row: InstanceView) =>
    extendBy(row, minutes, types.find(({ name }) => name === row.mcp_type)?.max_duration_minutes ?? minutes);
  const button = (
    verb: string,
    done: string,
    able: readonly InstanceView[],
    work: (row: InstanceView) => Promise<unknown>,
  ) =>
    able.length > 0 && (
      <BusyButton failure={`Could not ${verb}`} onAct={() => forEach(able, done, work)}>
        {verb} {able.length < rows.length && <span class="faint">{able.length}</span>}
      </BusyButton>
    );
  return (
    <section class="bulk" aria-label="Selected instances">
      <span class="bulk-count" role="status">
        {rows.length} selected
      </span>
      {button('Stop', 'stopping', stoppable, stop)}
      {button('Start', 'starting', startable, (row) => startAgain(row))}
      {button('Restart', 'restarting', restartable, restart)}
      {button('+30 min', 'extended', extendable, extend(30))}
      {button('+1 h', 'extended', extendable, extend(60))}
      {removable.length > 0 && (
        <Button
          kind="danger"
          onClick={() => {
            asksRemoval.value = true;
          }}
        >
          Remove…
        </Button>
      )}
      <Button kind="quiet" icon="close" label="Clear the selection" onClick={onClear} />
      {asksRemoval.value && (
        <Confirm
          title={`Remove ${countOf(removable.length, 'instance')}?`}
          verb="Remove"
          onClose={() => {
            asksRemoval.value = false;
          }}
          onConfirm={() => forEach(removable, 'removed', remove)}
        >
          <p>{removable.map(({ name }) => name).join(', ')}</p>
          <p>
            Their processes are ended, their tokens stop working, and their homes are deleted. This cannot be
            undone.
          </p>
        </Confirm>
      )}
    </section>
  );
}

/** Does `work` for each, a few at a time, and says how it went. Never throws. */
async function forEach(
  rows: readonly InstanceView[],
  done: string,
  work: (row: InstanceView) => Promise<unknown>,
): Promise<void> {
  const waiting = [...rows];
  const refused: { readonly name: string; readonly error: unknown }[] = [];
  const lane = async (): Promise<void> => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      const { name } = row;
      await work(row).catch((error: unknown) => refused.push({ name, error }));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const count = rows.length - refused.length;
  if (count > 0) say(`${countOf(count, 'instance')} ${done}`);
  const [first] = refused;
  if (first === undefined) return;
  const names = refused.map(({ name }) => name).join(', ');
  sayProblem(problemOf(first.error), `Not done for ${names}`);
}
