// Above a log: pause and follow, what is left out, and the download, which takes the same filters.
import type { Signal } from '@preact/signals';
import type { InstanceView } from '../../../api/contract.ts';
import { type Query, urlOf } from '../../api/client.ts';
import { Button } from '../../components/button.tsx';
import { SelectField } from '../../components/fields.tsx';
import { SearchBox } from '../../components/search-box.tsx';
import { place, setQuery } from '../../router.ts';

interface LogToolsProps {
  readonly instance: InstanceView;
  readonly filter: Query;
  readonly isFollowing: Signal<boolean>;
}

const levels = [
  ['', 'Any level'],
  ['info', 'info and above'],
  ['warn', 'warn and above'],
  ['error', 'error'],
] as const;
const sources = [
  ['', 'Any source'],
  ['process', 'process'],
  ['system', 'system'],
  ['api', 'api'],
] as const;

export function LogTools({ instance, filter, isFollowing }: LogToolsProps) {
  const { level = '', source = '', q = '' } = place.value.query;
  const saved = (format: string): string =>
    urlOf(`/instances/${instance.id}/logs/export`, { ...filter, format });
  return (
    <search class="filters">
      <SearchBox
        label="Search in the messages"
        value={q}
        onSearch={(text) => setQuery({ q: text }, { replace: true })}
      />
      <SelectField
        label="Level"
        isLabelHidden
        value={level}
        options={levels}
        onValue={(value) => setQuery({ level: value }, { replace: true })}
      />
      <SelectField
        label="Source"
        isLabelHidden
        value={source}
        options={sources}
        onValue={(value) => setQuery({ source: value }, { replace: true })}
      />
      <Button
        onClick={() => {
          isFollowing.value = !isFollowing.value;
        }}
      >
        {isFollowing.value ? 'Pause' : 'Follow'}
      </Button>
      <span class="downloads">
        Download
        <a href={saved('ndjson')} download>
          NDJSON
        </a>
        <a href={saved('csv')} download>
          CSV
        </a>
      </span>
    </search>
  );
}
