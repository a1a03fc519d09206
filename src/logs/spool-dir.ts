// Access to spools on disk. The programs that write them run under other users and may be hostile: nothing is followed
// that is not a plain directory or a plain file, however fast it is exchanged. What is not there counts as empty.
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, unlinkSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFiles } from '../shim/contract.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
const segmentName = /^(\d{1,15})\.ndjson$/;

/** One spool, opened for a moment. */
export interface SpoolDir {
  /** Numbers of the segments there are, ascending. */
  segments(): number[];
  /**
   * Reads at a place into the buffer.
   * @returns bytes read, 0 at the end of what is written; undefined when there is no such segment
   */
  read(segment: number, offsetBytes: number, into: Buffer): number | undefined;
  remove(segment: number): void;
}

/** Runs `fn` on the directory `names` leads to from `base`; undefined when it is not there. */
export function withSpoolDir<T>(
  base: string,
  names: readonly string[],
  fn: (dir: SpoolDir) => T,
): T | undefined {
  const fds: number[] = [];
  try {
    let path = base;
    for (const name of names) {
      const fd = openSync(join(path, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      fds.push(fd);
      // From here on by descriptor: what the path names can be another directory in a moment.
      path = process.platform === 'linux' ? `/proc/self/fd/${fd}` : join(path, name);
    }
    return fn(spoolAt(path));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function spoolAt(path: string): SpoolDir {
  const names = (): Map<number, string> => {
    const found = new Map<number, string>();
    for (const name of readdirSync(path)) {
      const number = segmentName.exec(name)?.[1];
      if (number !== undefined) found.set(Number(number), name);
    }
    return found;
  };
  const nameOf = (segment: number): string => `${String(segment).padStart(10, '0')}.ndjson`;
  return {
    segments: () => [...names().keys()].sort((a, b) => a - b),
    read(segment, offsetBytes, into) {
      let fd: number;
      try {
        // Non-blocking: a pipe under a segment's name must not hold us up.
        fd = openSync(join(path, nameOf(segment)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
      try {
        return fstatSync(fd).isFile() ? readSync(fd, into, 0, into.length, offsetBytes) : undefined;
      } finally {
        closeSync(fd);
      }
    },
    remove(segment) {
      try {
        unlinkSync(join(path, nameOf(segment)));
      } catch (error) {
        if (!isAbsent(error)) throw error;
      }
    },
  };
}

/** Not there, or something else in its place. */
function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'EISDIR'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  );
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Every generation that has a directory on this machine. */
export async function listGenerations(
  dataDir: string,
): Promise<{ instanceId: string; generation: number }[]> {
  const found: { instanceId: string; generation: number }[] = [];
  for (const instanceId of await namesIn(join(dataDir, 'instances'))) {
    if (!uuid.test(instanceId)) continue;
    for (const name of await namesIn(join(dataDir, 'instances', instanceId))) {
      if (/^[1-9]\d{0,9}$/.test(name)) found.push({ instanceId, generation: Number(name) });
    }
  }
  return found;
}

async function namesIn(path: string): Promise<string[]> {
  return readdir(path).catch((error: unknown) => (isAbsent(error) ? [] : Promise.reject(error)));
}

/** Where the spool of a generation lies, below the data directory. */
export function generationPath(instanceId: string, generation: number): string[] {
  return ['instances', instanceId, String(generation), bundleFiles.spool];
}

/** Deletes the directory of a generation that is over. Absent is success. */
export async function removeGenerationDir(
  dataDir: string,
  instanceId: string,
  generation: number,
): Promise<void> {
  await rm(join(dataDir, 'instances', instanceId, String(generation)), { recursive: true, force: true });
}
