// What the data directories of one run have in common: things that never change are placed once a run and not once a
// daemon, by those that share them as by two supervisors on one data directory.
import { cp, lstat, mkdir, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { inject } from 'vitest';
import { placeRuntime } from '../../src/runtime/store.ts';

/** Gives a data directory a shim of its own, for those who change it. @returns its path */
export async function ownShim(dataDir: string): Promise<string> {
  const shims = join(dataDir, 'store', 'shims');
  if ((await lstat(shims)).isSymbolicLink()) {
    const shared = await realpath(shims);
    await rm(shims);
    await cp(shared, shims, { recursive: true });
  }
  const [name = ''] = await readdir(shims);
  return join(shims, name);
}

let node: Promise<string> | undefined;

/** Shares Node, which every data directory has a copy of where it cannot be linked. */
export async function shareNode(dataDir: string): Promise<void> {
  node ??= placeRuntime(inject('clusterDir')).then((files) => dirname(dirname(files.node)));
  const home = await node;
  await mkdir(join(dataDir, 'store'), { recursive: true, mode: 0o755 });
  await symlink(home, join(dataDir, 'store', basename(home)));
}

/** Shares that, and packages, their compiled code and the shim: thousands of links each time. */
export async function shareStore(dataDir: string): Promise<void> {
  await shareNode(dataDir);
  for (const name of ['packages', 'caches', 'shims']) {
    const shared = join(inject('clusterDir'), 'store', name);
    await mkdir(shared, { recursive: true, mode: 0o755 });
    await symlink(shared, join(dataDir, 'store', name));
  }
}
