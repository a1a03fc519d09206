// Places outside the project: a directory for one run, removed with it, and the peers we are measured beside, each
// installed by npm at one exact version and kept by name and version for the next run. They are never dependencies.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { progress } from './report.ts';

const run = promisify(execFile);
const installMsMax = 180_000;

/** Makes a directory for this run. It is removed when disposed of. */
export async function openScratch(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'minimcp-bench-'));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** Installs a package at an exact version unless it is there already. @returns its directory */
export async function installPeer(name: string, version: string): Promise<string> {
  const home = join(tmpdir(), 'minimcp-bench-peers');
  const place = join(home, `${name.replaceAll('/', '+')}@${version}`);
  const installed = join(place, 'node_modules', name);
  if (existsSync(join(installed, 'package.json'))) return installed;
  progress(`installing ${name}@${version}`);
  await mkdir(home, { recursive: true });
  const draft = await mkdtemp(join(home, 'draft-'));
  try {
    await writeFile(join(draft, 'package.json'), '{"private":true}');
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--loglevel=error'];
    await run('npm', ['install', ...flags, `${name}@${version}`], { cwd: draft, timeout: installMsMax });
    await rename(draft, place);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return installed;
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}
