// A button that opens a short list of actions: the browser's own popover, so that a click beside it or Escape closes it
// and it is never cut off by its table. Arrows move in it, as in any menu.
import { useId, useRef } from 'preact/hooks';
import { Button } from './button.tsx';
import { Icon, type IconName } from './icons.tsx';

export interface MenuItem {
  readonly label: string;
  readonly isDanger?: boolean;
  readonly onAct: () => void;
}

interface MenuProps {
  /** Spoken: "More actions for memory-1". */
  readonly label: string;
  /** Shown on the button; without it, only the icon. */
  readonly text?: string;
  readonly icon?: IconName;
  readonly items: readonly MenuItem[];
  /** One of its actions is under way. */
  readonly isBusy?: boolean;
}

export function Menu({ label, text, icon = 'more', items, isBusy = false }: MenuProps) {
  const id = useId();
  const button = useRef<HTMLSpanElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const trigger = (): HTMLButtonElement | null => button.current?.querySelector('button') ?? null;
  const stand = ({ newState }: { readonly newState: string }): void => {
    const list = panel.current;
    trigger()?.setAttribute('aria-expanded', String(newState === 'open'));
    if (newState !== 'open' || list === null) return;
    const anchor = trigger()?.getBoundingClientRect();
    if (anchor === undefined) return;
    const isLow = anchor.bottom + list.offsetHeight + 8 > innerHeight;
    list.style.top = `${isLow ? Math.max(8, anchor.top - list.offsetHeight - 4) : anchor.bottom + 4}px`;
    list.style.left = `${Math.max(8, Math.min(anchor.right - list.offsetWidth, innerWidth - list.offsetWidth - 8))}px`;
    list.querySelector<HTMLElement>('button')?.focus();
  };
  const move = (event: KeyboardEvent): void => {
    const buttons = [...(panel.current?.querySelectorAll('button') ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (event.key === 'Tab') panel.current?.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    buttons[(to + buttons.length) % buttons.length]?.focus();
  };
  const choose = (item: MenuItem): void => {
    panel.current?.hidePopover();
    // So that a dialog it opens gives the focus back to something that is still there.
    trigger()?.focus();
    item.onAct();
  };
  return (
    <span ref={button} class="menu">
      <Button kind="quiet" label={label} isBusy={isBusy} opens={id} {...(text === undefined ? { icon } : {})}>
        {text && (
          <>
            {text}
            <Icon name="down" />
          </>
        )}
      </Button>
      <div
        ref={panel}
        id={id}
        popover="auto"
        class="menu-list"
        role="menu"
        aria-label={label}
        onToggle={stand}
        onKeyDown={move}
      >
        {items.map((item) => (
          <button
            key={item.label}
            type="button"
            role="menuitem"
            tabIndex={-1}
            class={item.isDanger ? 'menu-item danger' : 'menu-item'}
            onClick={() => choose(item)}
          >
            {item.label}
          </button>
        ))}
      </div>
    </span>
  );
}
