// The last lines of the child, kept for the record of its end. Bytes are kept as they came and made readable only
// when somebody asks, because nearly always nobody does.
import { cleanText, cutText, type LogTextOptions, logText } from './log-text.ts';

export interface Tail {
  /** A line of the child, as logText takes it. */
  push(line: Buffer, sizeBytes: number): void;
  /** A word of the shim on why it ended; stands after the child's. */
  note(text: string): void;
  lines(): string[];
}

const linesMax = 20;
const notesMax = 5;
const lineBytesMax = 2_000;

/** Makes an empty tail. */
export function createTail(options: LogTextOptions): Tail {
  const kept: { line: Buffer; sizeBytes: number }[] = [];
  const notes: string[] = [];
  return {
    push(line, sizeBytes) {
      if (line.length === 0) return;
      kept.push({ line, sizeBytes });
      if (kept.length > linesMax) kept.shift();
    },
    note(text) {
      notes.push(text);
      if (notes.length > notesMax) notes.shift();
    },
    lines() {
      const words = kept.map(({ line, sizeBytes }) => logText(line, sizeBytes, options).msg);
      const own = notes.map((note) => cleanText(note, options.redact));
      return [...words, ...own].slice(-linesMax).map((word) => cutText(word, lineBytesMax));
    },
  };
}
