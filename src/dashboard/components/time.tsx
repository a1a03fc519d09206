// Times that move: what is left of a lease and how long ago something was. They follow the daemon's clock once a second
// without their table being drawn again.
import { useComputed, useSignal } from '@preact/signals';
import { useLayoutEffect } from 'preact/hooks';
import { serverNow } from '../clock.ts';
import { formatAgo, formatSpan } from '../format.ts';

/** Below this a lease is shown as near its end, milliseconds. */
const nearEndMs = 5 * 60_000;

function useMs(time: string) {
  const ms = useSignal(Date.parse(time));
  useLayoutEffect(() => {
    ms.value = Date.parse(time);
  }, [time, ms]);
  return ms;
}

/** What is left until `until`: `27m 14s`, then "over". */
export function Countdown({ until }: { readonly until: string }) {
  const end = useMs(until);
  const text = useComputed(() => {
    const leftMs = end.value - serverNow.value;
    return leftMs <= 0 ? 'over' : formatSpan(leftMs);
  });
  const kind = useComputed(() => {
    const leftMs = end.value - serverNow.value;
    return leftMs > 0 && leftMs < nearEndMs ? 'countdown near' : 'countdown';
  });
  return (
    <time class={kind} dateTime={until} title={localTime(until)}>
      {text}
    </time>
  );
}

/** How long ago `time` was; `never` where there is none. */
export function Ago({ time, never = 'never' }: { readonly time: string | null; readonly never?: string }) {
  return time === null ? <span class="faint">{never}</span> : <AgoSince time={time} />;
}

function AgoSince({ time }: { readonly time: string }) {
  const then = useMs(time);
  const text = useComputed(() => formatAgo(serverNow.value - then.value));
  return (
    <time dateTime={time} title={localTime(time)}>
      {text}
    </time>
  );
}

/** A point in time as this reader's system writes it. */
export function localTime(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}
