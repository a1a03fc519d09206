// The dashboard as its source is now, in dist/dashboard, where a supervisor serves it from. Built when it is older than
// its source; of test files that come at the same time, one builds and the others wait for it.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './source.ts';

const index = join(root, 'dist', 'dashboard', 'index.html');
const lock = join(root, 'dist', '.building');
/** Not the tests' own mode: the page is built as it is shipped. */
const env = { ...process.env, NODE_ENV: 'production' };
/** A lock older than this was left by a run that was killed. */
const lockMsMax = 120_000;

export async function buildPage(): Promise<void> {
  while (existsSync(lock) || isStale()) {
    if (!take()) {
      await sleep(200);
      continue;
    }
    try {
      if (isStale()) execFileSync(process.execPath, [join(root, 'bin', 'build-page.js')], { cwd: root, env });
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
}

function isStale(): boolean {
  if (!existsSync(index)) return true;
  const builtMs = statSync(index).mtimeMs;
  const source = join(root, 'src', 'dashboard');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).map((name) => join(source, name));
  return [...files, join(root, 'vite.config.ts')].some((path) => statSync(path).mtimeMs > builtMs);
}

function take(): boolean {
  mkdirSync(join(root, 'dist'), { recursive: true });
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const lockedMs = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - lockedMs > lockMsMax) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}
