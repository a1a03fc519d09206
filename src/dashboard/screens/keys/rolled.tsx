// What became of the instances that a new key was put into, each by its name.
import type { InstanceView, McpTypeView, StoredApiKeyView } from '../../../api/contract.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { countOf } from '../../format.ts';
import { useReading } from '../../reading.ts';
import { linkIfThere } from '../../router.ts';

export type Roll = NonNullable<StoredApiKeyView['roll']>;

interface RolledProps {
  readonly type: McpTypeView;
  readonly roll: Roll;
  readonly onClose: () => void;
}

export function Rolled({ type, roll, onClose }: RolledProps) {
  const { moved, restarted, refused } = roll;
  const kept = roll.kept.filter((id) => !refused.some((one) => one.id === id));
  const instances = useReading<readonly InstanceView[]>('/instances', {
    query: { mcp_type: type.name, limit: 200 },
  });
  const named = (id: string) => {
    const name = instances.data?.find((instance) => instance.id === id)?.name ?? id.slice(0, 8);
    const href = linkIfThere(`/instances/${id}`);
    return href ? <a href={href}>{name}</a> : name;
  };
  const group = (ids: readonly string[], what: string) =>
    ids.length > 0 && (
      <div>
        <h3>
          {countOf(ids.length, 'instance')} {what}
        </h3>
        <ul class="lines-list">
          {ids.map((id) => (
            <li key={id}>{named(id)}</li>
          ))}
        </ul>
      </div>
    );
  const isNone = moved.length + restarted.length + kept.length + refused.length === 0;
  return (
    <Dialog title={`The key for ${type.display_name} is stored`} onClose={onClose} isSticky>
      <div class="dialog-body" role="status">
        {isNone && <p>No instance of this type runs: the next one gets the new key.</p>}
        {group(moved, 'went on with the new key, without a break')}
        {group(restarted, 'restarted with the new key')}
        {group(kept, 'still with the old key: restart them when it suits')}
        {refused.length > 0 && (
          <div>
            <h3 class="bad">
              {countOf(refused.length, 'instance')} did not start with the new key, and kept the old one
            </h3>
            <ul class="lines-list">
              {refused.map(({ id, detail, last_lines: lines }) => (
                <li key={id}>
                  {named(id)}: {detail}
                  {lines.length > 0 && <pre class="lines">{lines.join('\n')}</pre>}
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
      <footer class="dialog-foot">
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </footer>
    </Dialog>
  );
}
