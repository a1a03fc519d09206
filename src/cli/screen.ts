// A place for a story told line by line: on a terminal the last line may count down in place, elsewhere every line
// is plain and stays.
import type { Paint } from './output.ts';

export interface Screen {
  /** The next step of the story. */
  step(text: string): void;
  /** What a step found; may have several lines. */
  say(text: string): void;
  /** A line that the next one replaces. Not on a terminal: a line of its own every `everyMs`, to show life. */
  tick(text: string): void;
}

/**
 * @param now monotonic milliseconds
 * @param everyMs how often a plain stream is told what a terminal sees all the time
 */
export function createScreen(
  out: NodeJS.WritableStream,
  options: {
    readonly canRedraw: boolean;
    readonly paint: Paint;
    readonly now: () => number;
    readonly everyMs: number;
  },
): Screen {
  let open = false;
  let saidAtMs = Number.NEGATIVE_INFINITY;
  let steps = 0;
  const line = (text: string): void => {
    out.write(`${open ? '\r\u001b[K' : ''}${text}\n`);
    open = false;
  };
  return {
    step: (text) => {
      steps += 1;
      line(`\n${options.paint('bold', `${steps}. ${text}`)}`);
    },
    say: (text) => line(text.replace(/^(?=.)/gm, '   ')),
    tick: (text) => {
      if (options.canRedraw) {
        out.write(`\r\u001b[K   ${text}`);
        open = true;
      } else if (options.now() - saidAtMs >= options.everyMs) {
        saidAtMs = options.now();
        line(`   ${text}`);
      }
    },
  };
}

/** `4.1 s` */
export function formatSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
