// One course over time, drawn by uPlot: in the colours of the theme, as wide as there is room, with the value under the
// pointer in words. It is a picture: what it says stands in a table beside it.
import { effect, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from '../../theme.ts';

interface PlotProps {
  readonly title: string;
  /** Seconds since 1970. */
  readonly at: readonly number[];
  /** null where nothing was measured: the line is broken there. */
  readonly values: readonly (number | null)[];
  readonly format: (value: number) => string;
  /** The top of the scale is never below this, so that noise stays small. */
  readonly topMin: number;
}

const heightPx = 190;
const dayS = 86_400;

/** As the reader's system writes it: the hour, or the day where one begins. */
function timeOf(seconds: number, stepS: number): string {
  const at = new Date(seconds * 1_000);
  const isDay = stepS >= dayS || (at.getHours() === 0 && at.getMinutes() === 0);
  return isDay
    ? at.toLocaleDateString(undefined, { month: 'short', day: 'numeric' })
    : at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}

export function Plot({ title, at, values, format, topMin }: PlotProps) {
  const figure = useRef<HTMLElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>();
  const under = useSignal('');
  const data: UPlot.AlignedData = [at as number[], values as (number | null)[]];

  // Made once; data and size change it
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    // Asked for at every drawing: the theme may have changed.
    const colour = (of: Element | null | undefined, name: 'color' | 'borderTopColor') => () =>
      getComputedStyle(of ?? element)[name];
    const words = colour(figure.current?.querySelector('figcaption'), 'color');
    const line = colour(element, 'color');
    const axis = {
      stroke: words,
      font: '11px system-ui, sans-serif',
      grid: { stroke: colour(figure.current, 'borderTopColor'), width: 1 },
      ticks: { show: false },
    };
    const made = new UPlot(
      {
        width: element.clientWidth,
        height: heightPx,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { y: { range: (_, __, max) => [0, Math.max(topMin, (max ?? 0) * 1.1)] } },
        axes: [
          { ...axis, values: (_, splits, __, ___, stepS) => splits.map((split) => timeOf(split, stepS)) },
          {
            ...axis,
            size: 58,
            values: (_, splits) => splits.map((split) => format(split)),
          },
        ],
        series: [{}, { stroke: line, width: 1.5, points: { show: false }, spanGaps: false }],
        hooks: {
          setCursor: [
            ({ cursor: { idx }, data: [times, course] }) => {
              const value = course?.[idx ?? -1];
              const time = times?.[idx ?? -1];
              under.value =
                value === null || value === undefined || time === undefined
                  ? ''
                  : `${format(value)} at ${new Date(time * 1_000).toLocaleTimeString()}`;
            },
          ],
        },
      },
      data,
      element,
    );
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }));
    watcher.observe(element);
    const redraw = (): void => made.redraw(false);
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', redraw);
    const unfollow = effect(() => {
      if (theme.value) queueMicrotask(redraw);
    });
    return () => {
      unfollow();
      system.removeEventListener('change', redraw);
      watcher.disconnect();
      made.destroy();
    };
  }, [format, topMin, under]);
  useEffect(() => plot.current?.setData(data), [at, values]);
  return (
    <figure ref={figure} class="plot">
      <figcaption>
        <b>{title}</b>
        <span aria-hidden="true">{under.value}</span>
      </figcaption>
      <div ref={box} class="plot-box" aria-hidden="true" />
    </figure>
  );
}
