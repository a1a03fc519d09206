// Who are you? Stands in the place of whatever screen was asked for, and leaves the address alone, so that logging in
// leads there. A token is sent once, for a session in a cookie that scripts cannot read; it is kept nowhere.
import { useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { useAction } from '../components/action.ts';
import { Button } from '../components/button.tsx';
import { TextField } from '../components/fields.tsx';
import { ErrorNotice, Notice } from '../components/notices.tsx';
import { Brand, ThemeChoice } from '../components/shell.tsx';
import { logIn } from '../session.ts';
import { endedBecause } from '../session-state.ts';

export function LoginScreen() {
  const token = useSignal('');
  const missing = useSignal(false);
  const action = useAction();
  const form = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => {
    document.title = 'Log in · MiniMCP';
    form.current?.querySelector('input')?.focus();
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    const apiToken = token.value.trim();
    missing.value = apiToken === '';
    if (!missing.value) action.run(() => logIn({ api_token: apiToken }));
  };
  const isRefused = action.problem?.status === 401;
  return (
    <div class="login">
      <main class="login-box">
        <div class="login-head">
          <Brand />
          <ThemeChoice />
        </div>
        <h1>Log in</h1>
        {endedBecause.value && <Notice>{endedBecause.value}</Notice>}
        <p class="lead">
          Run <code>minimcp dashboard</code> where the daemon runs: it prints a link that logs you in. Or use
          an API token.
        </p>
        {/* The browser's own bubbles would say less than the field does. */}
        <form ref={form} noValidate onSubmit={submit}>
          <TextField
            label="API token"
            type="password"
            autocomplete="current-password"
            isMono
            isRequired
            value={token.value}
            onValue={(value) => {
              token.value = value;
              missing.value = false;
            }}
            hint="An admin makes tokens. The first one is in the file admin-token of the data directory."
            error={
              missing.value
                ? 'Paste an API token.'
                : isRefused
                  ? 'This token is not known, or not good any more. Access tokens of instances do not log in.'
                  : undefined
            }
          />
          {action.problem && !isRefused && <ErrorNotice problem={action.problem} />}
          <Button kind="primary" type="submit" isBusy={action.isBusy}>
            Log in
          </Button>
        </form>
      </main>
    </div>
  );
}
