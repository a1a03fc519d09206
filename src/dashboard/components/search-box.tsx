// A box to search with: what is typed goes where the screen keeps it (the address) when the reader pauses, and a change
// there, by the back button or a link, shows in the box.
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icons.tsx';

interface SearchBoxProps {
  /** Spoken: "Search by name, type or id". */
  readonly label: string;
  /** What is searched for now. */
  readonly value: string;
  readonly onSearch: (text: string) => void;
}

const pauseMs = 250;

export function SearchBox({ label, value, onSearch }: SearchBoxProps) {
  const text = useSignal(value);
  const timer = useRef<number>();
  useEffect(() => {
    if (timer.current === undefined) text.value = value;
  }, [value, text]);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const type = (typed: string): void => {
    text.value = typed;
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      timer.current = undefined;
      onSearch(typed.trim());
    }, pauseMs);
  };
  return (
    <div class="search-box">
      <Icon name="search" />
      <input
        type="search"
        class="input"
        aria-label={label}
        placeholder="Search…"
        maxLength={200}
        value={text.value}
        onInput={(event) => type(event.currentTarget.value)}
      />
    </div>
  );
}
