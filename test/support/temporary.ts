// Where tests put their files: in memory where that is to be had. Databases, packages and programs of a run are gigabytes
// that are written, read once and deleted; on a disk that is a fifth of all the processor's time.
import { chmodSync, lstatSync, mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

const memory = '/dev/shm';
// Short: paths of sockets below it have a hundred characters at most.
const ownName = join(memory, `mmt-${process.getuid?.()}`);
const bytesMin = 4 * 1024 ** 3;

/** Chooses it for this process and all it starts; it makes nothing yet. TMPDIR, where it is set, stays. */
export function chooseTemporary(): void {
  if (process.env.TMPDIR === undefined && isUsable()) process.env.TMPDIR = ownName;
}

/** Whether it was chosen. */
export function isInMemory(): boolean {
  return process.env.TMPDIR === ownName;
}

function isUsable(): boolean {
  try {
    const { bavail, bsize } = statfsSync(memory);
    const options = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, place]) => place === memory)?.[3];
    // Programs are run from there.
    return options !== undefined && !options.split(',').includes('noexec') && bavail * bsize >= bytesMin;
  } catch {
    return false;
  }
}

/** Makes it: one for all runs of this user, so that what a killed one leaves is found by the next (global-setup.ts). */
export function makeTemporary(): void {
  mkdirSync(ownName, { recursive: true });
  if (lstatSync(ownName).uid !== process.getuid?.())
    throw new Error(`${ownName} must be ours: remove it, or set TMPDIR`);
  // Root's instances run as users of their own, who must be able to pass.
  chmodSync(ownName, 0o711);
}
