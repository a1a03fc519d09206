// The last lines of the child, kept for the record of its end. Bytes are kept as they came and made readable only
// when somebody asks, because nearly always nobody does.
import { cutText, type LogTextOptions, logText } from './log-text.ts';

export interface Tail {
  /** A line of the child, as logText takes it. */
  push(line: Buffer, sizeBytes: number): void;
  /** A word of the shim on why it ended; already safe to show. */
  note(text: string): void;
  lines(): string[];
}

const linesMax = 20;
const lineBytesMax = 2_000;

/** Makes an empty tail. */
export function createTail(options: LogTextOptions): Tail {
  const kept: (() => string)[] = [];
  const add = (read: () => string): void => {
    kept.push(read);
    if (kept.length > linesMax) kept.shift();
  };
  return {
    push(line, sizeBytes) {
      if (line.length > 0) add(() => logText(line, sizeBytes, options).msg);
    },
    note(text) {
      add(() => text);
    },
    lines: () => kept.map((read) => cutText(read(), lineBytesMax)),
  };
}
