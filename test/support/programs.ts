// Programs that tests use and npm does not bring: on the PATH, or unpacked by setup.ts into a cache of this clone.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { root } from './source.ts';

/** Programs taken out of their packages, because the whole package would start a service. */
export const unpackedDir = join(root, 'node_modules', '.cache', 'minimcp');

/** What draws the dashboard, the cheapest first: the headless shell is the same engine without a desktop around it. */
export const browsers = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'] as const;

/** Where the first of these programs is that is to be had at all. */
export function findProgram(...names: readonly string[]): string | undefined {
  const dirs = [...(process.env.PATH ?? '').split(delimiter), unpackedDir];
  return names.flatMap((name) => dirs.map((dir) => join(dir, name))).find((path) => existsSync(path));
}
