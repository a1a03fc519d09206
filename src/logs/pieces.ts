// What comes next in a spool: whole lines from where it is stored up to, one segment at a time, and whether there will
// ever be more. A line without its end is waited for while someone may still write it, and named when nobody can.
import type { SpoolOffset } from '../db/queries/log-offsets.ts';
import type { SpoolDir } from './spool-dir.ts';

/** Longest line that is looked at, bytes; what is longer was not written by a shim. */
export const lineBytesMax = 1024 * 1024;

export interface Piece {
  readonly to: SpoolOffset;
  /** Whole lines, each with its newline; in the scratch buffer, so good until the next piece. */
  readonly lines: Buffer;
  /** Bytes that are no line and never will be: torn off by a kill, or without end. */
  readonly lostBytes: number;
}

export interface PieceOptions {
  /** Where the last piece ended. */
  readonly at: SpoolOffset;
  /** At most so much at once, unless one line is longer. */
  readonly bytesMax: number;
  /** Whether nobody is left who could write. */
  readonly ended: boolean;
  /** Space to read into, lineBytesMax long. */
  readonly scratch: Buffer;
}

/** @returns the next piece, or undefined when there is nothing (yet) */
export function nextPiece(dir: SpoolDir, options: PieceOptions): Piece | undefined {
  const { bytesMax, ended, scratch } = options;
  let place = options.at;
  for (let hops = 0; hops < 3; hops += 1) {
    const read = readLines(dir, place, scratch, bytesMax);
    if (read !== undefined && read.lines.length > 0) {
      return { to: moved(place, read.lines.length), lines: read.lines, lostBytes: 0 };
    }
    if (read !== undefined && read.tailBytes >= scratch.length) {
      return { to: moved(place, read.tailBytes), lines: read.lines, lostBytes: read.tailBytes };
    }
    const next = dir.segments().find((segment) => segment > place.segment);
    const sealed = next !== undefined || ended;
    // The writer may have ended this segment between our read and our look at the next: read it once more.
    if (sealed && read !== undefined) {
      const again = readLines(dir, place, scratch, bytesMax);
      if (again !== undefined && (again.lines.length > 0 || again.tailBytes !== read.tailBytes)) continue;
      if (read.tailBytes > 0) {
        return { to: moved(place, read.tailBytes), lines: read.lines, lostBytes: read.tailBytes };
      }
    }
    if (next === undefined) return undefined;
    place = { segment: next, offsetBytes: 0 };
  }
  return undefined;
}

function moved(place: SpoolOffset, bytes: number): SpoolOffset {
  return { segment: place.segment, offsetBytes: place.offsetBytes + bytes };
}

/** Whole lines at a place, and how many bytes follow them without a newline. */
function readLines(
  dir: SpoolDir,
  place: SpoolOffset,
  scratch: Buffer,
  bytesMax: number,
): { lines: Buffer; tailBytes: number } | undefined {
  for (let size = Math.min(bytesMax, scratch.length); ; size = scratch.length) {
    const bytes = dir.read(place.segment, place.offsetBytes, scratch.subarray(0, size));
    if (bytes === undefined) return undefined;
    const end = scratch.subarray(0, bytes).lastIndexOf(0x0a) + 1;
    if (end > 0 || bytes < size || size === scratch.length) {
      return { lines: scratch.subarray(0, end), tailBytes: bytes - end };
    }
  }
}
