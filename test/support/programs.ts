// Programs that tests use and npm does not bring: on the PATH, or unpacked by setup.ts into a cache of this clone.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './source.ts';

/** Programs taken out of their packages, because the whole package would start a service. */
export const unpackedDir = join(root, 'node_modules', '.cache', 'minimcp');

/** What to call a program by, or undefined where it is not to be had. */
export function findProgram(name: string): string | undefined {
  if (spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { stdio: 'ignore' }).status === 0) return name;
  const unpacked = join(unpackedDir, name);
  return existsSync(unpacked) ? unpacked : undefined;
}
