// What a place says when there is nothing in it, when something went wrong, and while it is being read. An empty state
// always says what to do next; an error always says what happened and what to do.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ApiProblem } from '../api/problem.ts';
import type { Reading } from '../reading.ts';
import { Button } from './button.tsx';
import { Icon } from './icons.tsx';

interface EmptyStateProps {
  readonly title: string;
  /** What to do next, with its button or link. */
  readonly children: ComponentChildren;
}

export function EmptyState({ title, children }: EmptyStateProps) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

interface ErrorNoticeProps {
  readonly problem: ApiProblem;
  /** What could not be done, where the problem's own title does not say it. */
  readonly what?: string;
  readonly onRetry?: () => void;
}

export function ErrorNotice({ problem, what, onRetry }: ErrorNoticeProps) {
  const title = what === undefined ? problem.title : `${what}: ${lowerFirst(problem.title)}`;
  const element = useRef<HTMLDivElement>(null);
  // Where it appears under the fold of a form, nobody would know why nothing happens.
  useEffect(() => element.current?.scrollIntoView({ block: 'nearest' }), [problem]);
  return (
    <div ref={element} class="notice error" role="alert">
      <Icon name="warning" />
      <div>
        <p class="notice-title">{title}</p>
        {problem.detail !== '' && problem.detail !== problem.title && <p>{problem.detail}</p>}
        <p>{problem.remedy}</p>
        {problem.code === 'internal' && problem.requestId && <p class="mono small">{problem.requestId}</p>}
        {onRetry && (
          <Button kind="quiet" onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

export function Notice({ children }: { readonly children: ComponentChildren }) {
  return (
    <div class="notice">
      <Icon name="info" />
      <div>{children}</div>
    </div>
  );
}

interface ReadingViewProps<Data> {
  readonly reading: Reading<Data>;
  /** What is read, for the error: "The instances could not be read". */
  readonly what: string;
  readonly children: (data: Data) => ComponentChildren;
}

/** What was read; lines that shimmer until then; above it what went wrong. */
export function ReadingView<Data>({ reading, what, children }: ReadingViewProps<Data>) {
  const { data, problem, isStale } = reading;
  return (
    <>
      {problem && (
        <ErrorNotice problem={problem} what={`${what} could not be read`} onRetry={reading.reload} />
      )}
      {data === undefined && problem === undefined && (
        <div class="skeleton" role="status" aria-label={`${what}: being read`}>
          <i />
          <i />
          <i />
        </div>
      )}
      {data !== undefined && <div class={isStale ? 'stale' : ''}>{children(data)}</div>}
    </>
  );
}
