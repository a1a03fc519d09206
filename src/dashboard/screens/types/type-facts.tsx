// What there is to know of a type: where it comes from, what it may use, what it is told.
import type { TypeView } from '../../api/type-actions.ts';
import { Section, Sheet } from '../../components/sheet.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { formatMinutes } from '../../format.ts';
import { hrefOf } from '../../hash.ts';
import { eraOf, limitWord, networkOf } from './words.ts';

export function TypeFacts({ type }: { readonly type: TypeView }) {
  const hosts = type.egress_hosts.join(', ');
  return (
    <Sheet
      facts={[
        ['Name', <code>{type.name}</code>],
        ['Package', <code>{`${type.package}@${type.version}`}</code>],
        ['Installed here', type.available ? 'yes' : <span class="bad">no</span>],
        ['Speaks', `${type.transport}, ${eraOf(type)}`],
        ['May reach', type.egress === 'allow-list' && hosts ? hosts : networkOf(type)],
        ['Longest lease', formatMinutes(type.max_duration_minutes)],
        [
          'Sleeps when idle',
          type.idle_minutes === null ? 'never' : `after ${formatMinutes(type.idle_minutes)}`,
        ],
        ['API key', <KeyWord type={type} />],
        ['Comes', type.origin === 'shipped' ? 'with MiniMCP' : 'from an admin'],
        ['Added from', type.source ?? undefined],
        ['License', type.license ?? undefined],
        ['Integrity', type.integrity ? <code class="clip">{type.integrity}</code> : undefined],
      ]}
    />
  );
}

function KeyWord({ type }: { readonly type: TypeView }) {
  if (type.key_variable === null) return 'takes none';
  return (
    <>
      {type.needs_api_key ? 'needed' : 'may have one'}, as <code>{type.key_variable}</code>{' '}
      <a href={hrefOf('/keys', { type: type.name })}>Your key</a>
    </>
  );
}

type Input = TypeView['inputs'][number];
const columns: readonly Column<Input>[] = [
  { id: 'input', label: 'Input', isTitle: true, cell: ({ name }) => <code>{name}</code> },
  { id: 'what', label: 'What it is', cell: ({ description }) => description ?? <span class="faint">–</span> },
  {
    id: 'need',
    label: 'Needed',
    cell: ({ is_required: isNeeded, is_secret: isSecret }) =>
      `${isNeeded ? 'yes' : 'no'}${isSecret ? ', as an API key' : ''}`,
  },
  {
    id: 'value',
    label: 'Values',
    cell: ({ choices, default: fallback }) =>
      [choices?.join(', '), fallback && `by itself ${fallback}`].filter(Boolean).join('; ') || 'any',
  },
];

export function Inputs({ type }: { readonly type: TypeView }) {
  if (type.inputs.length === 0) return null;
  return (
    <Section title="What it is told">
      <Table caption="Inputs" columns={columns} rows={type.inputs} idOf={({ name }) => name} />
    </Section>
  );
}

export function Limits({ type }: { readonly type: TypeView }) {
  const limits = Object.entries(type.resource_limits);
  if (limits.length === 0) return null;
  return (
    <Section title="What it may use">
      <Sheet
        facts={limits.map(([name, value]) => [
          limitWord(name),
          typeof value === 'object' ? JSON.stringify(value) : String(value),
        ])}
      />
    </Section>
  );
}
