// What is shown while something takes more than a second: what is waited for, and how long already, on one line of
// standard error that is gone afterwards. Nothing is written where nobody watches.
import { monotonicMs } from '../base/clock.ts';
import { columnsOf } from './output.ts';
import { cut } from './width.ts';

/** Begins `work`, says meanwhile what is waited for, and passes the result through. */
export type Waiting = <T>(text: string, work: () => Promise<T>) => Promise<T>;

const quietMs = 1_000;
const frameMs = 100;
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const eraseLine = '\r\u001b[K';

/** @param shown false: nothing is ever said */
export function createWaiting(out: NodeJS.WritableStream, shown: boolean): Waiting {
  let busy = false;
  return async (text, work) => {
    // What is waited for inside something longer is part of that.
    if (!shown || busy) return work();
    busy = true;
    const stop = spin(out, text);
    try {
      return await work();
    } finally {
      stop();
      busy = false;
    }
  };
}

function spin(out: NodeJS.WritableStream, text: string): () => void {
  const startMs = monotonicMs();
  let drawn = 0;
  const timer = setInterval(() => {
    const ms = monotonicMs() - startMs;
    if (ms < quietMs) return;
    const line = `${frames[drawn % frames.length]} ${text} … ${Math.floor(ms / 1_000)}s`;
    drawn += 1;
    out.write(`${eraseLine}${cut(line, (columnsOf(out) ?? 80) - 1)}`);
  }, frameMs);
  return () => {
    clearInterval(timer);
    if (drawn > 0) out.write(eraseLine);
  };
}
