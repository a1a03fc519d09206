// Names, sizes and last numbers of the segments of a spool. Segments may vanish at any time: the supervisor deletes
// what it has stored. What cannot be read counts as not there.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SpoolLine } from './contract.ts';

type Source = SpoolLine['source'];

const segmentName = /^(\d{10})\.ndjson$/;

export function segmentPath(directory: string, segment: number): string {
  return join(directory, `${String(segment).padStart(10, '0')}.ndjson`);
}

/** Numbers of the segments there are, ascending. Throws what reading the directory throws. */
export function segmentsOf(directory: string): number[] {
  const numbers: number[] = [];
  for (const name of readdirSync(directory)) {
    const match = segmentName.exec(name);
    if (match) numbers.push(Number(match[1]));
  }
  return numbers.sort((a, b) => a - b);
}

/** Bytes of all segments together, as far as they can be seen. */
export function sizeOnDisk(directory: string): number {
  let bytes = 0;
  try {
    for (const segment of segmentsOf(directory)) {
      bytes += statSync(segmentPath(directory, segment), { throwIfNoEntry: false })?.size ?? 0;
    }
  } catch {
    // A disk that cannot be read will refuse the next write, and that is where it counts.
  }
  return bytes;
}

/** The last sequence number of each source the shim writes; a torn line (from a kill −9) counts for nothing. */
export function lastSequences(directory: string, segments: readonly number[]): Map<Source, number> {
  const last = new Map<Source, number>();
  for (const segment of [...segments].reverse()) {
    for (const text of linesOf(segmentPath(directory, segment)).reverse()) {
      const line = parse(text);
      if (!line) continue;
      const upTo = markedUpTo(line);
      if (upTo) last.set(upTo.source, Math.max(last.get(upTo.source) ?? 0, upTo.seq));
      last.set(line.source, Math.max(last.get(line.source) ?? 0, line.seq));
      if (last.has('process') && last.has('system')) return last;
    }
  }
  return last;
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}

function parse(text: string): SpoolLine | undefined {
  try {
    const line = JSON.parse(text) as Partial<SpoolLine>;
    return typeof line.seq === 'number' && line.source ? (line as SpoolLine) : undefined;
  } catch {
    return undefined;
  }
}

/** What a drop marker says about the numbers of another source. */
function markedUpTo(line: SpoolLine): { source: Source; seq: number } | undefined {
  const { of, last_seq: seq } = line.meta ?? {};
  return typeof of === 'string' && typeof seq === 'number' ? { source: of as Source, seq } : undefined;
}
