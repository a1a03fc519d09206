// Search and filters of the list. They stand in the address; typing changes it in place, so that the back button does not
// have to undo letters.
import type { McpTypeView, UserView } from '../../../api/contract.ts';
import { statuses } from '../../../domain/instance.ts';
import { CheckField, SelectField } from '../../components/fields.tsx';
import { SearchBox } from '../../components/search-box.tsx';
import type { Place } from '../../hash.ts';
import { place, setQuery } from '../../router.ts';

interface FiltersProps {
  readonly types: readonly McpTypeView[];
  /** undefined: the reader sees only their own. */
  readonly users: readonly UserView[] | undefined;
}

const fromStart = { cursor: undefined, page: undefined };

/** Whether the list is narrowed in any way. */
export function isFiltered(query: Place['query']): boolean {
  return ['q', 'status', 'type', 'owner', 'cursor'].some((name) => query[name] !== undefined);
}

export function Filters({ types, users }: FiltersProps) {
  const { query } = place.value;
  return (
    <search class="filters">
      <SearchBox
        label="Search by name, type or id"
        value={query.q ?? ''}
        onSearch={(q) => setQuery({ q, ...fromStart }, { replace: true })}
      />
      <SelectField
        label="Status"
        isLabelHidden
        value={query.status ?? ''}
        options={[['', 'Any status'], ...statuses.map((status) => [status, status] as const)]}
        onValue={(status) => setQuery({ status, ...fromStart })}
      />
      <SelectField
        label="Type"
        isLabelHidden
        value={query.type ?? ''}
        options={[['', 'Any type'], ...types.map(({ name }) => [name, name] as const)]}
        onValue={(type) => setQuery({ type, ...fromStart })}
      />
      {users && (
        <SelectField
          label="Owner"
          isLabelHidden
          value={query.owner ?? ''}
          options={[['', 'Any owner'], ...users.map(({ id, email }) => [id, email] as const)]}
          onValue={(owner) => setQuery({ owner, ...fromStart })}
        />
      )}
      <CheckField
        isSwitch
        label="Show ended"
        checked={query.ended !== '0' || query.status === 'expired'}
        onChecked={(isOn) => setQuery({ ended: isOn ? undefined : '0', ...fromStart })}
      />
    </search>
  );
}
