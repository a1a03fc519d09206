// Shows the toasts in two live regions that are always there: a screen reader hears only what changes in a region it
// knows. Failures interrupt, successes wait.
import { dismiss, type Toast, toasts } from '../toasts.ts';
import { Button } from './button.tsx';

export function Toaster() {
  return (
    <div class="toasts">
      <div role="status" aria-live="polite">
        {toasts.value.filter(({ problem }) => problem === undefined).map(draw)}
      </div>
      <div role="alert" aria-live="assertive">
        {toasts.value.filter(({ problem }) => problem !== undefined).map(draw)}
      </div>
    </div>
  );
}

function draw({ id, text, problem }: Toast) {
  return (
    <div key={id} class={problem ? 'toast failed' : 'toast'}>
      <div>
        <p class="notice-title">{text}</p>
        {problem && (
          <p>
            {problem.detail || problem.title}. {problem.remedy}
          </p>
        )}
      </div>
      <Button kind="quiet" icon="close" label="Dismiss" onClick={() => dismiss(id)} />
    </div>
  );
}
