// The lines of a log that the page holds: at most so many, each once, in order. Every line has a number that it keeps, so
// that a view knows its lines again when some come in front or are dropped. Pure.
import type { LogLineView } from '../../../api/contract.ts';

/** How many lines at the front may be empty before the array is made anew. */
const slack = 10_000;

export class LogBuffer {
  readonly #linesMax: number;
  #lines: LogLineView[] = [];
  readonly #ids = new Set<string>();
  /** Where the oldest line stands in #lines: dropping one costs nothing. */
  #start = 0;
  /** The number of the line at #start. */
  #first = 0;

  constructor(linesMax = 100_000) {
    this.#linesMax = linesMax;
  }

  get size(): number {
    return this.#lines.length - this.#start;
  }

  /** The number of the oldest line; that of the newest is `first + size - 1`. */
  get first(): number {
    return this.#first;
  }

  get isFull(): boolean {
    return this.size >= this.#linesMax;
  }

  /** The line with this number. */
  at(number: number): LogLineView | undefined {
    const index = number - this.#first;
    return index < 0 ? undefined : this.#lines[this.#start + index];
  }

  /** Adds newer lines, and drops the oldest past the limit. @returns how many were new */
  append(lines: readonly LogLineView[]): number {
    const fresh = this.#unknown(lines);
    for (const line of fresh) {
      this.#ids.add(line.id);
      this.#lines.push(line);
    }
    for (let over = this.size - this.#linesMax; over > 0; over -= 1) {
      const dropped = this.#lines[this.#start];
      if (dropped) this.#ids.delete(dropped.id);
      this.#start += 1;
      this.#first += 1;
    }
    if (this.#start > slack) {
      this.#lines = this.#lines.slice(this.#start);
      this.#start = 0;
    }
    return fresh.length;
  }

  /** Puts older lines, oldest first, in front of what is there, as far as there is room. @returns how many */
  prepend(lines: readonly LogLineView[]): number {
    const unknown = this.#unknown(lines);
    const fresh = unknown.slice(Math.max(0, unknown.length - (this.#linesMax - this.size)));
    for (const { id } of fresh) this.#ids.add(id);
    this.#lines = [...fresh, ...this.#lines.slice(this.#start)];
    this.#start = 0;
    this.#first -= fresh.length;
    return fresh.length;
  }

  #unknown(lines: readonly LogLineView[]): LogLineView[] {
    return lines.filter(({ id }) => !this.#ids.has(id));
  }
}
