// The lines of a log, as many as anybody can see at once: rows of one height, of which only those in view are in the
// document. It keeps what is in view in place when lines come in front or are dropped, and stays at the end while it follows.
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { LogLineView } from '../../../api/contract.ts';
import type { LogFeed } from './log-feed.ts';
import { clockOf, oneLine } from './log-text.ts';

interface LogListProps {
  readonly feed: LogFeed;
  /** Whether it stays at the newest line. Scrolling up ends that, scrolling to the end begins it. */
  readonly isFollowing: Signal<boolean>;
  /** The number of the line that is shown in full. */
  readonly chosen: Signal<number | undefined>;
}

/** As in instance.css. */
const rowPx = 22;
const rowsAround = 12;
/** Lines at once, after which a screen reader is left in peace. */
const spokenMax = 3;

export function LogList({ feed, isFollowing, chosen }: LogListProps) {
  const { buffer } = feed;
  const version = feed.version.value;
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(600);
  /** The number of the first line, and the count, as they were drawn last. */
  const drawn = useRef({ first: buffer.first, size: 0 });
  const { first, size } = buffer;
  const isFlood = size + first - (drawn.current.first + drawn.current.size) > spokenMax;

  // Before the browser paints, so that nothing jumps
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const movedPx = (drawn.current.first - first) * rowPx;
    drawn.current = { first, size };
    // Scrolled up since the last frame; the event that says so is still to come.
    if (element.scrollTop < top.peek()) isFollowing.value = false;
    if (isFollowing.peek()) element.scrollTop = element.scrollHeight;
    else if (movedPx !== 0) element.scrollTop = Math.max(0, element.scrollTop + movedPx);
    top.value = element.scrollTop;
  }, [version, first, size, isFollowing.value]);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const watcher = new ResizeObserver(() => {
      height.value = element.clientHeight;
      if (isFollowing.peek()) element.scrollTop = element.scrollHeight;
    });
    watcher.observe(element);
    return () => watcher.disconnect();
  }, [isFollowing, height]);

  const scroll = (): void => {
    const element = box.current;
    if (element === null) return;
    const isUp = element.scrollTop < top.peek();
    top.value = element.scrollTop;
    const leftPx = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (leftPx < rowPx) isFollowing.value = true;
    else if (isUp) isFollowing.value = false;
    if (element.scrollTop < rowPx * rowsAround && feed.hasOlder.peek()) feed.readOlder();
  };
  const key = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape') chosen.value = undefined;
    else if (event.key === 'Enter' && chosen.peek() === undefined)
      chosen.value = first + Math.min(size - 1, Math.floor(top.peek() / rowPx));
    else if (step !== undefined && chosen.peek() !== undefined) {
      event.preventDefault();
      const next = Math.min(first + size - 1, Math.max(first, (chosen.peek() ?? first) + step));
      chosen.value = next;
      isFollowing.value = false;
      reveal(box.current, (next - first) * rowPx);
    }
  };

  const from = Math.max(0, Math.floor(top.value / rowPx) - rowsAround);
  const until = Math.min(size, Math.ceil((top.value + height.value) / rowPx) + rowsAround);
  const numbers = Array.from({ length: Math.max(0, until - from) }, (_, at) => first + from + at);
  return (
    <div
      ref={box}
      class="log-lines"
      role="log"
      aria-label="Log lines. Enter shows a line in full, arrows go to the next"
      aria-live={isFlood || !isFollowing.value ? 'off' : 'polite'}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      onScroll={scroll}
      onKeyDown={key}
    >
      <div class="log-space" style={{ height: `${size * rowPx}px` }}>
        {numbers.map((number) => (
          <Line
            key={number}
            line={buffer.at(number)}
            topPx={(number - first) * rowPx}
            isChosen={number === chosen.value}
            onChoose={() => {
              chosen.value = number === chosen.peek() ? undefined : number;
            }}
          />
        ))}
      </div>
    </div>
  );
}

function reveal(element: HTMLElement | null, rowTopPx: number): void {
  if (element === null) return;
  const { scrollTop, clientHeight } = element;
  if (rowTopPx < scrollTop) element.scrollTop = rowTopPx;
  else if (rowTopPx + 2 * rowPx > scrollTop + clientHeight)
    element.scrollTop = rowTopPx + 2 * rowPx - clientHeight;
}

interface LineProps {
  readonly line: LogLineView | undefined;
  readonly topPx: number;
  readonly isChosen: boolean;
  readonly onChoose: () => void;
}

function Line({ line, topPx, isChosen, onChoose }: LineProps) {
  if (line === undefined) return null;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys; a stop for each of 100,000 lines would be none
    // biome-ignore lint/a11y/noStaticElementInteractions: the same
    <div
      class={`log-line is-${line.level} ${isChosen ? 'chosen' : ''}`}
      style={{ transform: `translateY(${topPx}px)` }}
      onClick={onChoose}
    >
      <time dateTime={line.timestamp}>{clockOf(line.timestamp)}</time>
      <b>{line.level}</b>
      <i>{line.source}</i>
      <span>{oneLine(line.message)}</span>
    </div>
  );
}
