// One embedded PostgreSQL per test run. It is only named here: the first test that needs a database starts it (see
// database.ts), and the end of the run takes it away, together with what killed runs left behind.
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { clusterExists, openCluster } from './cluster.ts';
import { isInMemory, makeTemporary } from './temporary.ts';

const prefix = 'minimcp-test-';

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (isInMemory()) makeTemporary();
  await removeOrphans();
  const dir = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
  await chmod(dir, 0o711);
  project.provide('clusterDir', dir);
  return async () => {
    await remove(dir);
    // Memory, which nobody else needs what is left in (compiled code of foreign programs), unless another run is at work.
    if (isInMemory() && !(await readdir(tmpdir())).some((name) => name.startsWith(prefix)))
      await rm(tmpdir(), { recursive: true, force: true });
  };
}

async function remove(dir: string): Promise<void> {
  if (await clusterExists(dir)) await (await openCluster(dir)).stop({ force: true });
  await rm(dir, { recursive: true, force: true });
}

async function removeOrphans(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(/^minimcp-test-(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && isGone(pid)) await remove(join(tmpdir(), name)).catch(() => {});
  }
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly clusterDir: string;
  }
}
