// Cuts a stream of bytes into lines without ever holding more than one line's bound. It refuses to decode: lines are
// Buffers. A line over the bound is not an error of the stream: what was kept of it is reported and the next line is
// read as if nothing had happened.

export interface FramerOptions {
  /** Longest line that is handed on whole, bytes, newline not counted. */
  readonly lineBytesMax: number;
  /** How much of a longer line is kept for `onLong`, bytes; not more than `lineBytesMax`. */
  readonly keepBytes: number;
  /** A whole line without its newline. The buffer may be a view into the chunk that was pushed. */
  readonly onLine: (line: Buffer) => void;
  /** A line over the bound, once it has ended: its first `keepBytes` bytes and its full length. */
  readonly onLong: (kept: Buffer, sizeBytes: number) => void;
}

export interface Framer {
  push(chunk: Buffer): void;
  /** The stream is over: a last line without a newline counts as a line. */
  end(): void;
}

const newline = 0x0a;
const empty = Buffer.alloc(0);

/** Makes a framer. Any cutting of the same bytes into chunks gives the same calls. */
export function createFramer(options: FramerOptions): Framer {
  const { lineBytesMax, keepBytes, onLine, onLong } = options;
  // The unfinished line: `held.subarray(0, heldBytes)`. It grows by doubling, so that a child that writes single
  // bytes costs single bytes.
  let held: Buffer = empty;
  let heldBytes = 0;
  let sizeBytes = 0;

  const hold = (part: Buffer): void => {
    sizeBytes += part.length;
    const limit = sizeBytes > lineBytesMax ? keepBytes : lineBytesMax;
    if (heldBytes >= limit) {
      if (heldBytes > limit) release(limit);
      return;
    }
    const take = Math.min(part.length, limit - heldBytes);
    if (heldBytes + take > held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(heldBytes + take, Math.min(held.length * 2, limit)));
      held.copy(grown, 0, 0, heldBytes);
      held = grown;
    }
    part.copy(held, heldBytes, 0, take);
    heldBytes += take;
  };

  /** Gives back the memory of a line that has just turned out too long. */
  const release = (limit: number): void => {
    held = Buffer.from(held.subarray(0, limit));
    heldBytes = limit;
  };

  const finish = (): void => {
    const line = held.subarray(0, heldBytes);
    const size = sizeBytes;
    held = empty;
    heldBytes = 0;
    sizeBytes = 0;
    if (size > lineBytesMax) onLong(line, size);
    else onLine(line);
  };

  return {
    push(chunk) {
      let from = 0;
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        const part = chunk.subarray(from, at);
        from = at + 1;
        if (sizeBytes === 0 && part.length <= lineBytesMax) {
          onLine(part);
          continue;
        }
        hold(part);
        finish();
      }
      if (from < chunk.length) hold(chunk.subarray(from));
    },
    end() {
      if (sizeBytes > 0) finish();
    },
  };
}
