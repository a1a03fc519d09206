// What is known about the end of a generation: the shim's own record, overruled where a limit was broken, because a
// server that was killed for its limit looks like a crash from inside.
import { nowMs } from '../base/clock.ts';
import type { ExitRecord } from '../shim/contract.ts';
import type { Handle } from './driver.ts';
import type { BundleRecord } from './messages.ts';
import { readBroken, readExit, readRecord } from './state-files.ts';
import { memoryKilled } from './watchdog.ts';

/** How a generation ended; null when nothing is known but that it did. Ask before its cgroups are removed. */
export async function readEnding(dataDir: string, handle: Handle): Promise<ExitRecord | null> {
  const exit = await readExit(dataDir, handle, handle.uid);
  const record = await readRecord(dataDir, handle);
  const broken =
    (await readBroken(dataDir, handle)) ?? (record && memoryKilled(record)) ?? heapBroken(exit, record);
  if (broken === undefined) return exit;
  return {
    instanceId: handle.instanceId,
    generation: handle.generation,
    exitCode: exit?.exitCode ?? null,
    signal: exit?.signal ?? null,
    restarts: exit?.restarts ?? 0,
    wasReady: exit?.wasReady ?? true,
    at: exit?.at ?? new Date(nowMs()).toISOString(),
    reason: 'limit',
    lastLines: [broken, ...(exit?.lastLines ?? [])],
  };
}

/** V8 gives up before the kernel does when only the heap grows: the same limit, told by the server's last lines. */
function heapBroken(exit: ExitRecord | null, record: BundleRecord | undefined): string | undefined {
  if (
    exit === null ||
    record === undefined ||
    !['crash_loop', 'crashed', 'start_failed'].includes(exit.reason)
  ) {
    return undefined;
  }
  if (!exit.lastLines.some((line) => /JavaScript heap out of memory/.test(line))) return undefined;
  const mebibytes = Math.round(record.limits.memoryBytesMax / (1024 * 1024));
  return `memory: its heap came to what the ${mebibytes} MiB it may have leave room for`;
}
