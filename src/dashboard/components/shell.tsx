// The frame around every screen: where one can go, who one is, whether the page is live. Beside the screen where there is
// room for it, behind a button where there is not.
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { hrefOf, matchPath } from '../hash.ts';
import { connection } from '../live.ts';
import { place } from '../router.ts';
import { logOut } from '../session.ts';
import { session } from '../session-state.ts';
import { theme, themes } from '../theme.ts';
import { BusyButton, Button } from './button.tsx';
import { Icon } from './icons.tsx';

export interface NavEntry {
  readonly path: string;
  readonly label: string;
}

export function Shell({
  nav,
  children,
}: {
  readonly nav: readonly NavEntry[];
  readonly children: ComponentChildren;
}) {
  const isOpen = useSignal(false);
  const { path } = place.value;
  // The menu closes because the path changed
  useEffect(() => {
    isOpen.value = false;
  }, [path, isOpen]);
  return (
    <div class="shell">
      <header class="side">
        <button type="button" class="skip" onClick={() => document.querySelector('h1')?.focus()}>
          Skip to the content
        </button>
        <div class="side-top">
          <Brand />
          <span class="only-narrow">
            <Button
              kind="quiet"
              icon={isOpen.value ? 'close' : 'menu'}
              label={isOpen.value ? 'Close the menu' : 'Open the menu'}
              onClick={() => {
                isOpen.value = !isOpen.value;
              }}
            />
          </span>
        </div>
        <div class={isOpen.value ? 'side-fold open' : 'side-fold'}>
          <nav aria-label="Main">
            <ul class="nav">
              {nav.map((entry) => (
                <li key={entry.path}>
                  <a href={hrefOf(entry.path)} aria-current={isIn(entry.path, path) ? 'page' : undefined}>
                    {entry.label}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <Account />
        </div>
      </header>
      <main id="main" class="main">
        {children}
      </main>
    </div>
  );
}

function isIn(entry: string, path: string): boolean {
  return matchPath(entry, path) !== undefined || path.startsWith(`${entry}/`);
}

export function Brand() {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" />
        <path d="M8 22V10l8 7 8-7v12" />
      </svg>
      MiniMCP
    </span>
  );
}

function Account() {
  const who = session.value;
  return (
    <div class="account">
      <Connection />
      {who && (
        <p class="who" title={who.user.email}>
          <span>{who.user.email}</span>
          {who.acts_as_admin && <span class="tag">admin</span>}
        </p>
      )}
      <div class="account-row">
        <ThemeChoice />
        <BusyButton kind="quiet" icon="leave" failure="Could not log out" onAct={logOut}>
          Log out
        </BusyButton>
      </div>
    </div>
  );
}

function Connection() {
  const isLost = connection.value === 'lost';
  return (
    <p class={isLost ? 'connection lost' : `connection ${connection.value}`} role="status">
      <i aria-hidden="true" />
      {isLost ? 'Reconnecting…' : connection.value === 'live' ? 'Live' : 'Connecting…'}
    </p>
  );
}

export function ThemeChoice() {
  const next = themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? 'auto';
  const icons = { auto: 'auto', light: 'sun', dark: 'moon' } as const;
  const names = { auto: 'as the system', light: 'light', dark: 'dark' } as const;
  return (
    <button
      type="button"
      class="button quiet square"
      aria-label={`Theme: ${names[theme.value]}. Switch to ${names[next]}`}
      title={`Theme: ${names[theme.value]}`}
      onClick={() => {
        theme.value = next;
      }}
    >
      <Icon name={icons[theme.value]} />
    </button>
  );
}
