// What an instance says, as it says it: follows until one scrolls up, filters by level, source and text, shows one line in
// full, and saves all of it. The filters stand in the address.
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { InstanceView } from '../../../api/contract.ts';
import { Button } from '../../components/button.tsx';
import { EmptyState, ErrorNotice } from '../../components/notices.tsx';
import { countOf } from '../../format.ts';
import { place, setQuery } from '../../router.ts';
import { createLogFeed, type LogFeed } from './log-feed.ts';
import { LogLine } from './log-line.tsx';
import { LogList } from './log-list.tsx';
import { LogTools } from './log-tools.tsx';

export function Log({ instance }: { readonly instance: InstanceView }) {
  const { level, source, q } = place.value.query;
  const filter = { level, source, q };
  const feed = useMemo(() => createLogFeed(instance.id, filter), [instance.id, level, source, q]);
  useEffect(() => () => feed.stop(), [feed]);
  const isFollowing = useSignal(true);
  const chosen = useSignal<number | undefined>(undefined);
  /** The number after the newest line when following ended. */
  const pausedAt = useSignal(0);
  const { buffer } = feed;
  const end = buffer.first + buffer.size;
  useEffect(() => {
    pausedAt.value = end;
  }, [isFollowing.value, feed]);
  const version = feed.version.value;
  const fresh = isFollowing.value ? 0 : end - pausedAt.value;
  const line = chosen.value === undefined ? undefined : buffer.at(chosen.value);
  return (
    <div class="log">
      <LogTools instance={instance} filter={filter} isFollowing={isFollowing} />
      {feed.problem.value && <ErrorNotice problem={feed.problem.value} what="The log could not be read" />}
      {buffer.size === 0 ? (
        version > 0 && (
          <Nothing instance={instance} feed={feed} isFiltered={(level ?? source ?? q) !== undefined} />
        )
      ) : (
        <div class="log-frame">
          <LogList feed={feed} isFollowing={isFollowing} chosen={chosen} />
          {fresh > 0 && (
            <button
              type="button"
              class="log-pill"
              onClick={() => {
                isFollowing.value = true;
              }}
            >
              {countOf(fresh, 'new line')} ↓
            </button>
          )}
        </div>
      )}
      <div class="log-state">
        <p class="hint" role="status">
          {stateOf(feed)}
        </p>
        {feed.hasOlder.value && buffer.size > 0 && <Older feed={feed} />}
      </div>
      {line && <LogLine line={line} onClose={() => (chosen.value = undefined)} />}
    </div>
  );
}

function stateOf({ buffer, state, hasOlder }: LogFeed): string {
  if (state.value === 'reading') return 'Reading…';
  if (state.value === 'lost') return 'The connection is lost. It comes back by itself, and misses no line.';
  const count = countOf(buffer.size, 'line').replace(/^\d+/, buffer.size.toLocaleString());
  if (buffer.isFull) return `The newest ${count}. Older ones are in the download.`;
  return hasOlder.value ? `${count}; there are older ones.` : `${count}, from the beginning.`;
}

function Older({ feed }: { readonly feed: LogFeed }) {
  return (
    <Button kind="quiet" isBusy={feed.isReadingOlder.value} onClick={() => feed.readOlder()}>
      Read older lines
    </Button>
  );
}

interface NothingProps {
  readonly instance: InstanceView;
  readonly feed: LogFeed;
  readonly isFiltered: boolean;
}

function Nothing({ instance, feed, isFiltered }: NothingProps) {
  if (isFiltered)
    return (
      <EmptyState title={feed.hasOlder.value ? 'No match among the newest lines.' : 'No line matches.'}>
        {feed.hasOlder.value && <Older feed={feed} />}
        <Button kind="quiet" onClick={() => setQuery({ level: undefined, source: undefined, q: undefined })}>
          Clear search and filters
        </Button>
      </EmptyState>
    );
  return (
    <EmptyState title="It has said nothing yet.">
      <p>
        {instance.status === 'running' || instance.status === 'pending'
          ? 'What its server writes to its error output appears here as it comes.'
          : 'Start it: what its server writes to its error output appears here as it comes.'}
      </p>
    </EmptyState>
  );
}
