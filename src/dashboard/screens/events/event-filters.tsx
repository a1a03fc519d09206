// Narrows the list of events: by what, about whom, about which instance, and when.
import type { UserView } from '../../../api/contract.ts';
import { SelectField, TextField } from '../../components/fields.tsx';
import { eventTypes, wordsOf } from '../../event-text.ts';
import { hrefOf, type Place } from '../../hash.ts';
import { place, setQuery } from '../../router.ts';

const names = ['type', 'user', 'instance', 'since', 'until'] as const;

export function isNarrowed(query: Place['query']): boolean {
  return [...names, 'cursor'].some((name) => query[name] !== undefined);
}

export function EventFilters({ users }: { readonly users: readonly UserView[] }) {
  const { query } = place.value;
  const bind = (name: (typeof names)[number]) => ({
    isLabelHidden: true,
    value: query[name] ?? '',
    onValue: (value: string) => setQuery({ [name]: value, cursor: undefined, page: undefined }),
  });
  return (
    <search class="filters">
      <SelectField
        label="What happened"
        {...bind('type')}
        options={[['', 'Anything'], ...eventTypes.map((type) => [type, wordsOf(type)] as const)]}
      />
      <SelectField
        label="About whom"
        {...bind('user')}
        options={[['', 'Anyone'], ...users.map(({ id, email }) => [id, email] as const)]}
      />
      <div class="span">
        <TextField label="From" type="datetime-local" {...bind('since')} />
        <span class="faint">to</span>
        <TextField label="To" type="datetime-local" {...bind('until')} />
      </div>
      {query.instance && (
        <span class="tag">
          of one instance, <code>…{query.instance.slice(-12)}</code>
        </span>
      )}
      {isNarrowed(query) && <a href={hrefOf('/events')}>Clear filters</a>}
    </search>
  );
}
