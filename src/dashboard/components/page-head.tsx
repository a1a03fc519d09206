// The head of a screen: its title, which takes the focus when the screen opens (so that a screen reader says where one
// is and Tab goes on from there), what can be done on it, and the title of the browser's tab.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

interface PageHeadProps {
  readonly title: string;
  /** A line under the title. */
  readonly lead?: ComponentChildren;
  /** Buttons for the whole screen. */
  readonly children?: ComponentChildren;
}

/** The first screen of a visit leaves the focus where the browser put it. */
let isFirst = true;

export function PageHead({ title, lead, children }: PageHeadProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    if (!isFirst) heading.current?.focus();
    isFirst = false;
  }, []);
  useEffect(() => {
    document.title = `${title} · MiniMCP`;
  }, [title]);
  return (
    <div class="page-head">
      <div>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {children && <div class="page-actions">{children}</div>}
    </div>
  );
}
