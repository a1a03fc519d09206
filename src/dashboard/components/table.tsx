// The table of every list. Headers sort, rows can be selected, the head stays in view; on a narrow screen each row turns
// into a card whose cells carry their column's label. It holds nothing: rows, sort and selection are the screen's.
import type { ComponentChildren } from 'preact';
import { Icon } from './icons.tsx';

export interface Column<Row> {
  readonly id: string;
  readonly label: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** The API's name to sort by; without it the column does not sort. */
  readonly sort?: string;
  /** Which way a first click sorts; times and amounts are wanted largest first. */
  readonly isDescendingFirst?: boolean;
  readonly align?: 'end';
  /** What the row is called by: the head of its card, and the header of its row. */
  readonly isTitle?: boolean;
  /** The label is only spoken, on cards too: for actions. */
  readonly isLabelHidden?: boolean;
}

export interface Selection<Row> {
  readonly ids: ReadonlySet<string>;
  readonly onChange: (ids: ReadonlySet<string>) => void;
  /** Spoken for a row's box: its name. */
  readonly nameOf: (row: Row) => string;
}

interface TableProps<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly idOf: (row: Row) => string;
  /** `name`, or `-name` for descending; empty for the API's own order. */
  readonly sort?: string;
  readonly onSort?: (sort: string) => void;
  readonly selection?: Selection<Row>;
}

export function Table<Row>({ caption, columns, rows, idOf, sort = '', onSort, selection }: TableProps<Row>) {
  return (
    <>
      {onSort && <SortChoice columns={columns} sort={sort} onSort={onSort} />}
      <table class="table">
        <caption class="spoken">{caption}</caption>
        <thead>
          <tr>
            {selection && (
              <th scope="col" class="cell-check">
                <SelectAll rows={rows} idOf={idOf} selection={selection} />
              </th>
            )}
            {columns.map((column) => (
              <Header key={column.id} column={column} sort={sort} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const id = idOf(row);
            return (
              <tr key={id} data-id={id} class={selection?.ids.has(id) ? 'selected' : ''}>
                {selection && (
                  <td class="cell-check">
                    <input
                      type="checkbox"
                      class="checkbox"
                      aria-label={`Select ${selection.nameOf(row)}`}
                      checked={selection.ids.has(id)}
                      onChange={() => selection.onChange(toggled(selection.ids, id))}
                    />
                  </td>
                )}
                {columns.map((column) => (
                  <Cell key={column.id} column={column} row={row} />
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </>
  );
}

function Cell<Row>({ column, row }: { readonly column: Column<Row>; readonly row: Row }) {
  const kind = `cell-${column.id} ${column.align === 'end' ? 'end' : ''} ${column.isTitle ? 'title' : ''}`;
  const content = column.cell(row);
  if (column.isTitle)
    return (
      <th scope="row" class={kind}>
        {content}
      </th>
    );
  return (
    <td class={kind} data-label={column.isLabelHidden ? undefined : column.label}>
      {content}
    </td>
  );
}

interface HeaderProps<Row> {
  readonly column: Column<Row>;
  readonly sort: string;
  readonly onSort: ((sort: string) => void) | undefined;
}

function Header<Row>({ column, sort, onSort }: HeaderProps<Row>) {
  const kind = column.align === 'end' ? 'end' : '';
  const { sort: name } = column;
  if (name === undefined || onSort === undefined)
    return (
      <th scope="col" class={kind}>
        <span class={column.isLabelHidden ? 'spoken' : ''}>{column.label}</span>
      </th>
    );
  const direction = sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : undefined;
  const next = direction === undefined ? firstSort(column) : direction === 'ascending' ? `-${name}` : name;
  return (
    <th scope="col" class={kind} aria-sort={direction ?? 'none'}>
      <button type="button" class="sort" onClick={() => onSort(next)}>
        {column.label}
        <Icon name={direction === 'descending' ? 'down' : 'up'} />
      </button>
    </th>
  );
}

function firstSort<Row>({ sort = '', isDescendingFirst }: Column<Row>): string {
  return isDescendingFirst ? `-${sort}` : sort;
}

/** The headers of cards: they have none. Shown on narrow screens only. */
function SortChoice<Row>({
  columns,
  sort,
  onSort,
}: Pick<TableProps<Row>, 'columns'> & { readonly sort: string; readonly onSort: (sort: string) => void }) {
  const choices = columns.flatMap((column) =>
    column.sort === undefined
      ? []
      : [firstSort(column), firstSort({ ...column, isDescendingFirst: !column.isDescendingFirst })],
  );
  const labelOf = (choice: string): string => {
    const column = columns.find(({ sort: name }) => name === choice.replace('-', ''));
    return `${column?.label ?? choice} ${choice.startsWith('-') ? '↓' : '↑'}`;
  };
  return (
    <label class="sort-choice">
      <span>Sort by</span>
      <select class="input select" value={sort} onChange={(event) => onSort(event.currentTarget.value)}>
        {!choices.includes(sort) && <option value={sort}>Newest</option>}
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {labelOf(choice)}
          </option>
        ))}
      </select>
    </label>
  );
}

function SelectAll<Row>({
  rows,
  idOf,
  selection,
}: Pick<TableProps<Row>, 'rows' | 'idOf'> & { readonly selection: Selection<Row> }) {
  const count = rows.filter((row) => selection.ids.has(idOf(row))).length;
  const isAll = rows.length > 0 && count === rows.length;
  return (
    <input
      type="checkbox"
      class="checkbox"
      aria-label="Select all on this page"
      checked={isAll}
      indeterminate={count > 0 && !isAll}
      onChange={() => selection.onChange(new Set(isAll ? [] : rows.map(idOf)))}
    />
  );
}

function toggled(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return next;
}
