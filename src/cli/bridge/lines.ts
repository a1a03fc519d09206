// Standard input as lines, bounded: one that is too long is thrown away as it comes and told as null.

export const lineBytesMax = 10 * 1_024 * 1_024;

/** The lines of a stream, without their ends; null stands for one over the bound. Empty lines are skipped. */
export async function* readLines(
  input: AsyncIterable<Buffer | string>,
  bytesMax: number = lineBytesMax,
): AsyncGenerator<string | null> {
  let parts: Buffer[] = [];
  let sizeBytes = 0;
  const take = (part: Buffer): void => {
    sizeBytes += part.length;
    if (sizeBytes > bytesMax) parts = [];
    else parts.push(part);
  };
  const line = (): string | null => {
    const text = sizeBytes > bytesMax ? null : Buffer.concat(parts).toString('utf8').trim();
    parts = [];
    sizeBytes = 0;
    return text;
  };
  for await (const chunk of input) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    let from = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
      take(bytes.subarray(from, end));
      from = end + 1;
      const text = line();
      if (text !== '') yield text;
    }
    take(bytes.subarray(from));
  }
  const last = line();
  if (last !== '') yield last;
}
