// Names and values, side by side where there is room. A value that is undefined is left out.
import type { ComponentChildren } from 'preact';

type Fact = readonly [name: string, value: ComponentChildren];

export function Sheet({ facts }: { readonly facts: readonly Fact[] }) {
  return (
    <dl class="sheet">
      {facts.map(
        ([name, value]) =>
          value !== undefined && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** A part of a screen with a head of its own. */
export function Section({
  title,
  actions,
  children,
}: {
  readonly title: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  return (
    <section class="section">
      <div class="section-head">
        <h2>{title}</h2>
        {actions && <div class="page-actions">{actions}</div>}
      </div>
      {children}
    </section>
  );
}
