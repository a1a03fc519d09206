import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFramer } from '../../src/shim/framing.ts';

type Seen = { line: string } | { kept: string; sizeBytes: number };

function read(bytes: Buffer, cuts: readonly number[], lineBytesMax: number, keepBytes: number): Seen[] {
  const seen: Seen[] = [];
  const framer = createFramer({
    lineBytesMax,
    keepBytes,
    onLine: (line) => seen.push({ line: line.toString('latin1') }),
    onLong: (kept, sizeBytes) => seen.push({ kept: kept.toString('latin1'), sizeBytes }),
  });
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    framer.push(bytes.subarray(from, cut));
    from = Math.max(from, cut);
  }
  framer.push(bytes.subarray(from));
  framer.end();
  return seen;
}

/** What the framer must do, in the slowest and plainest words. */
function plainly(bytes: Buffer, lineBytesMax: number, keepBytes: number): Seen[] {
  const lines = bytes.toString('latin1').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) =>
    line.length > lineBytesMax ? { kept: line.slice(0, keepBytes), sizeBytes: line.length } : { line },
  );
}

describe('framing', () => {
  it('gives the same lines however the bytes are cut', () => {
    const byte = fc.oneof({ arbitrary: fc.constant(10), weight: 1 }, { arbitrary: fc.nat(255), weight: 4 });
    fc.assert(
      fc.property(
        fc.array(byte, { maxLength: 400 }),
        fc.array(fc.nat(400), { maxLength: 20 }),
        fc.integer({ min: 0, max: 40 }),
        fc.nat(40),
        (bytes, cuts, lineBytesMax, keep) => {
          const all = Buffer.from(bytes);
          const keepBytes = Math.min(keep, lineBytesMax);
          expect(read(all, cuts, lineBytesMax, keepBytes)).toEqual(plainly(all, lineBytesMax, keepBytes));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('reads a line of single bytes without a price for each', () => {
    const seen: number[] = [];
    const framer = createFramer({
      lineBytesMax: 1_000_000,
      keepBytes: 0,
      onLine: (line) => seen.push(line.length),
      onLong: () => {},
    });
    const before = process.memoryUsage().arrayBuffers;
    const one = Buffer.from('x');
    for (let i = 0; i < 500_000; i++) framer.push(one);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8_000_000);
    framer.push(Buffer.from('\n'));
    expect(seen).toEqual([500_000]);
  });

  it('keeps nothing of a line that is only to be skipped', () => {
    let size = 0;
    const framer = createFramer({
      lineBytesMax: 1_000,
      keepBytes: 0,
      onLine: () => {},
      onLong: (kept, sizeBytes) => {
        expect(kept).toHaveLength(0);
        size = sizeBytes;
      },
    });
    const chunk = Buffer.alloc(64 * 1024, 120);
    for (let i = 0; i < 200; i++) framer.push(chunk);
    framer.push(Buffer.from('\nnext\n'));
    expect(size).toBe(200 * chunk.length);
  });
});
