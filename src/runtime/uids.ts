// The user an instance runs as when we are root: one per port of the pool, so that two instances alive at a time never
// share one. A port that is used again has its user swept first. Pure but for what it reads of /proc.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A range of user ids that are nobody's. */
export interface UidRange {
  readonly base: number;
  readonly span: number;
}

/** Past every range that distributions, subordinate ids and containers are given, below 2^31. */
const preferredBase = 1_900_000_000;
const span = 65_536;
const slots = 3_000;
/** Inside a container that maps only 65,536 users. */
const narrow: UidRange = { base: 20_000, span: 40_000 };

/** A range by data directory: two supervisors on one machine must not share users, each sweeps its own. */
function preferredFor(dataDir: string): UidRange {
  const slot = createHash('sha256').update(dataDir).digest().readUInt32BE(0) % slots;
  return { base: preferredBase + slot * span, span };
}

/**
 * The range to use on this machine.
 * @param uidMap text of /proc/self/uid_map
 * @param dataDir of this supervisor
 * @returns undefined when this user namespace has no room for users of ours
 */
export function chooseUidRange(uidMap: string, dataDir: string, base?: number): UidRange | undefined {
  const mapped = uidMap
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([inside = 0, , length = 0]) => ({ from: inside, to: inside + length }));
  const fits = (range: UidRange): boolean =>
    mapped.some(({ from, to }) => from <= range.base && range.base + range.span <= to);
  const wanted = base === undefined ? [preferredFor(dataDir), narrow] : [{ base, span }];
  return wanted.find(fits);
}

/** The range of this machine, or undefined when we are not root or have no room. */
export function uidRangeHere(dataDir: string, base?: number): UidRange | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  return chooseUidRange(readFileSync('/proc/self/uid_map', 'utf8'), dataDir, base);
}

/** The user (and group) of the instance on a port. */
export function uidForPort(range: UidRange, port: number): number {
  return range.base + (port % range.span);
}
