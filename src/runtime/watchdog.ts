// Looks whether instances keep to their limits where the kernel does not hold them, and notices where it had to: memory
// (the kernel's kills, or the sum over the tree where there is no cgroup) and the disk of the home. It decides nothing
// beyond "broken": who is told ends the instance. A look that fails breaks nothing.
import { type Dirent, lstatSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { homeDir, tmpDir } from './bundle-names.ts';
import { oomKills } from './cgroups.ts';
import type { Limits, Usage } from './driver.ts';
import type { BundleRecord } from './messages.ts';

export interface WatchdogOptions {
  readonly dataDir: string;
  readonly log: Logger;
  /** Living generations with what was written down about them. */
  readonly living: () => Promise<readonly BundleRecord[]>;
  /** How many children it may have now: two while one takes over from another. */
  readonly children: (record: BundleRecord) => number;
  readonly usage: (handles: readonly BundleRecord[]) => Promise<Map<string, Usage>>;
  /** A limit is broken; `message` names it with its figure, for the owner. */
  readonly onBroken: (record: BundleRecord, message: string) => Promise<void>;
}

export interface Watchdog {
  /** One look at everything. */
  check(): Promise<void>;
  /** A look at what the kernel counted for one generation, now. */
  checkKernel(record: BundleRecord): Promise<void>;
  stop(): void;
}

const everyMs = 5_000;
const mebibyte = 1024 * 1024;
/** Files and directories looked at in one home; more than this is no use anybody pays for. */
const entriesMax = 200_000;
/** Memory of the shim, which is in the tree and not the server's. */
const shimBytes = 96 * mebibyte;

/** Starts looking. */
export function createWatchdog(options: WatchdogOptions): Watchdog {
  let looking: Promise<void> | undefined;
  const check = (): Promise<void> => {
    looking ??= look(options).finally(() => {
      looking = undefined;
    });
    return looking;
  };
  const timer = setInterval(() => {
    check().catch((error: unknown) =>
      options.log.warn({ reason: messageOf(error) }, 'limits could not be looked at'),
    );
  }, everyMs);
  timer.unref();
  return {
    check,
    async checkKernel(record) {
      const message = memoryKilled(record);
      if (message !== undefined) await options.onBroken(record, message);
    },
    stop: () => clearInterval(timer),
  };
}

async function look(options: WatchdogOptions): Promise<void> {
  const records = await options.living();
  const unheld = records.filter(({ cgroups }) => cgroups.length === 0);
  const usage = unheld.length === 0 ? new Map<string, Usage>() : await options.usage(unheld);
  for (const record of records) {
    const message =
      memoryKilled(record) ??
      memoryUsed(record.limits, options.children(record), usage.get(record.instanceId)) ??
      (await diskUsed(options.dataDir, record));
    if (message !== undefined) await options.onBroken(record, message);
  }
}

/** The limit that the kernel enforced with a kill, or undefined. */
export function memoryKilled(record: Pick<BundleRecord, 'cgroups' | 'limits'>): string | undefined {
  if (oomKills(record.cgroups) === 0) return undefined;
  return `memory: more than the ${inMebibytes(record.limits.memoryBytesMax)} it may have; the kernel killed it`;
}

function memoryUsed(limits: Limits, children: number, usage: Usage | undefined): string | undefined {
  if (usage === undefined || usage.memoryBytes <= limits.memoryBytesMax * children + shimBytes)
    return undefined;
  return `memory: ${inMebibytes(usage.memoryBytes)} in ${usage.processes} processes, of ${inMebibytes(limits.memoryBytesMax)} it may have`;
}

async function diskUsed(dataDir: string, record: BundleRecord): Promise<string | undefined> {
  const max = record.limits.diskBytesMax;
  let bytes = 0;
  let entries = 0;
  const queue = [homeDir(dataDir, record.instanceId), tmpDir(dataDir, record.instanceId)];
  for (let dir = queue.pop(); dir !== undefined; dir = queue.pop()) {
    // Most homes are nearly empty: asking the system directly takes a tenth of the time, and a large one gives way.
    for (const entry of entriesOf(dir)) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) queue.push(path);
      bytes += (lstatIfThere(path)?.blocks ?? 0) * 512;
      entries += 1;
      if (bytes > max) return `disk: more than the ${inMebibytes(max)} its home may have`;
      if (entries > entriesMax) return `disk: more than the ${entriesMax} files its home may have`;
      if (entries % 500 === 0) await setImmediate();
    }
  }
  return undefined;
}

/** What is in a directory; nothing when it vanished meanwhile. */
function entriesOf(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
}

function lstatIfThere(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function inMebibytes(bytes: number): string {
  return `${Math.round(bytes / mebibyte)} MiB`;
}
