// How much of the processor a tree of processes has asked for: what it ran and what it waited for its turn, as the kernel
// counts it. A start that hangs asks for nothing; one on a busy machine asks all the time, though it gets little.
import { readProc } from './process-identity.ts';

/** Deeper than any sandbox of ours; a server that builds a longer chain is not followed further. */
const depthMax = 16;

/** Milliseconds so far, of the main threads of a process and its descendants; undefined where nobody counts. */
export function demandMs(pid: number, depth = 0): number | undefined {
  // Time on a processor and time in line for one, nanoseconds.
  const counted = readProc(`/proc/${pid}/schedstat`)?.split(' ').map(Number);
  if (counted === undefined) return undefined;
  const [ranNs = 0, waitedNs = 0] = counted;
  const children = depth < depthMax ? childrenOf(pid) : [];
  return children.reduce(
    (sum, child) => sum + (demandMs(child, depth + 1) ?? 0),
    (ranNs + waitedNs) / 1_000_000,
  );
}

function childrenOf(pid: number): number[] {
  return (readProc(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number);
}
