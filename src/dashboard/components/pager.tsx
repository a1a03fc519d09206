// From page to page of a list. The API hands out cursors that only lead on; the way back is remembered while the page is
// open, and leads to the first page after a reload.
import type { ListMeta } from '../api/client.ts';
import { place, setQuery } from '../router.ts';
import { Button } from './button.tsx';

/** By cursor: the cursor of the page before it. */
const before = new Map<string, string | undefined>();

export function Pager({ meta }: { readonly meta: ListMeta | undefined }) {
  const { cursor, page = '1' } = place.value.query;
  const next = meta?.next_cursor ?? undefined;
  const at = Number(page) || 1;
  if (cursor === undefined && next === undefined) return null;
  const forward = (): void => {
    if (next === undefined) return;
    before.set(next, cursor);
    setQuery({ cursor: next, page: String(at + 1) });
  };
  const back = (): void => {
    const to = before.get(cursor ?? '');
    setQuery({ cursor: to, page: to === undefined ? undefined : String(at - 1) });
  };
  return (
    <nav class="pager" aria-label="Pages">
      <Button icon="left" disabled={cursor === undefined} onClick={back}>
        Previous
      </Button>
      <span>Page {at}</span>
      <Button disabled={next === undefined} onClick={forward}>
        Next
      </Button>
    </nav>
  );
}
