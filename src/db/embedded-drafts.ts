// Directories that are made under another name and renamed when they are whole, so that a kill in between leaves
// nothing that passes for the real thing. What a killed process left behind is deleted by the next one.
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A name for the draft of `path`, of this process and call. */
export async function newDraft(path: string): Promise<string> {
  await removeAbandoned(path);
  return `${path}.draft-${process.pid}-${randomBytes(4).toString('hex')}`;
}

async function removeAbandoned(path: string): Promise<void> {
  const prefix = `${basename(path)}.draft-`;
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0;
    if (pid > 0 && !isAlive(pid)) await rm(join(dirname(path), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
