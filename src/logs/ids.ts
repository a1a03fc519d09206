// Ids of stored lines: UUIDv7 that only grow within a process, also within one millisecond and when the clock steps
// back. Readers follow a log by them, so a smaller id after a larger one would be a line never shown.
import { randomFillSync } from 'node:crypto';
import { nowMs } from '../base/clock.ts';

/** Ids within one millisecond: 26 bits. */
const counterMax = 2 ** 26 - 1;
const randomBytesPerId = 6;
const poolIds = 512;

/** Makes a source of ids, each larger than the one before and than `above`, if that is given. */
export function createIds(above?: string): () => string {
  let ms = above === undefined ? 0 : timeOf(above) + 1;
  let counter = -1;
  let head = '';
  const pool = Buffer.alloc(poolIds * randomBytesPerId);
  let random = '';
  let used = poolIds;

  return () => {
    const now = nowMs();
    if (now > ms || counter === counterMax || head === '') {
      ms = Math.max(now, counter === counterMax ? ms + 1 : ms);
      counter = -1;
      const hex = ms.toString(16).padStart(12, '0');
      head = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
    }
    counter += 1;
    if (used === poolIds) {
      random = randomFillSync(pool).toString('hex');
      used = 0;
    }
    const tail = random.slice(used * 12, used * 12 + 12);
    used += 1;
    const high = (counter >> 14).toString(16).padStart(3, '0');
    const low = (0x8000 | (counter & 0x3fff)).toString(16);
    return `${head}${high}-${low}-${tail}`;
  };
}

/** The time in an id, milliseconds since 1970. */
export function timeOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
