// Compiled code of servers, so that a start need not compile again: made once per package by running its server in a
// sandbox of its own, in the background, then kept read-only. Instances read it and cannot write it. A cache that
// cannot be made is no failure: servers start without.
import { lstatSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Isolation } from './ladder.ts';
import { runHelper } from './launcher.ts';
import { inside, sandboxArgv } from './sandbox.ts';
import { copyAsOurs, publish, type RuntimeFiles, storeDir } from './store.ts';

export interface CompileCaches {
  /** The cache of a package in the store, or null when there is none (yet). */
  find(packageDir: string): string | null;
  /** Makes the cache of a package some time soon, unless there is one. */
  wish(packageDir: string, script: string): void;
  /** Gives up what has not been made. */
  close(): Promise<void>;
}

export interface CompileCacheOptions {
  readonly dataDir: string;
  readonly files: RuntimeFiles;
  readonly isolation: Isolation;
  readonly log: Logger;
  /** How long to leave the machine to those who wait for a start, milliseconds. */
  readonly delayMs?: number;
}

/** Loaded before the server; the directory is that of the file itself. */
const enableScript = `require('node:module').enableCompileCache(__dirname);\n`;
/** The same, and ends a server that does not end with its input: the cache is written at the end. */
const warmScript = `const m = require('node:module');
m.enableCompileCache(__dirname);
process.on('exit', () => m.flushCompileCache());
setTimeout(() => process.exit(0), 3000).unref();\n`;
const warmMsMax = 15_000;

/** What a shim asks a server at its start. */
const conversation = [
  {
    ...{ id: 1, method: 'initialize' },
    params: {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'minimcp', version: '1' },
    },
  },
  { method: 'notifications/initialized' },
  { id: 2, method: 'tools/list' },
];

/** Name of the file inside a cache that servers are started with. */
export const enableFile = 'enable.cjs';

/** Makes the keeper of caches. Without a sandbox there are none: the directory carries the user's id in its name. */
export function createCompileCaches(options: CompileCacheOptions): CompileCaches {
  const closing = new AbortController();
  const wished = new Set<string>();
  let line = Promise.resolve();

  const dirFor = (packageDir: string): string =>
    join(
      storeDir(options.dataDir),
      'caches',
      `${basename(packageDir)}-${basename(join(options.files.node, '../..'))}`,
    );

  return {
    find(packageDir) {
      if (options.isolation.sandbox === null) return null;
      const dir = dirFor(packageDir);
      return lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() ? dir : null;
    },
    wish(packageDir, script) {
      if (options.isolation.sandbox === null || wished.has(packageDir)) return;
      wished.add(packageDir);
      line = line.then(async () => {
        try {
          await sleep(options.delayMs ?? 3_000, closing.signal);
          await publish(dirFor(packageDir), (draft) => fill(options, draft, { packageDir, script }));
        } catch (error) {
          if (closing.signal.aborted) return;
          options.log.debug(
            { package: basename(packageDir), reason: messageOf(error) },
            'no compile cache was made',
          );
        }
      });
    },
    async close() {
      closing.abort();
      await line;
    },
  };
}

interface Server {
  readonly packageDir: string;
  readonly script: string;
}

async function fill(options: CompileCacheOptions, draft: string, server: Server): Promise<void> {
  const work = await mkdtemp(join(storeDir(options.dataDir), `warm-${process.pid}-`));
  try {
    await warm(options, work, server);
    const found = await copyCache(join(work, 'cache'), draft);
    if (found === 0) throw new Error('the server left no compiled code');
    await writeFile(join(draft, enableFile), enableScript, { mode: 0o644 });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Runs the server once, as a user that is nobody else, seeing what an instance would and no network. */
async function warm(options: CompileCacheOptions, work: string, server: Server): Promise<void> {
  const { isolation, files } = options;
  if (isolation.sandbox === null) throw new Error('there is no sandbox');
  const uid = isolation.uids?.base;
  for (const name of ['home', 'tmp', 'cache']) await mkdir(join(work, name), { mode: 0o700 });
  await writeFile(join(work, 'cache', 'warm.cjs'), warmScript, { mode: 0o644 });
  await chmod(work, 0o711);
  if (uid !== undefined) for (const name of ['home', 'tmp', 'cache']) await chown(join(work, name), uid, uid);
  const argv = sandboxArgv({
    tools: isolation.sandbox,
    node: files.node,
    sharedObjects: files.sharedObjects,
    etc: files.etc,
    packageDir: server.packageDir,
    home: join(work, 'home'),
    tmp: join(work, 'tmp'),
    compileCache: { dir: join(work, 'cache'), writable: true },
    network: isolation.netNamespace ? 'none' : 'host',
    readOnlyPaths: [],
  });
  const limit =
    isolation.prlimit === null ? [] : [isolation.prlimit, '--core=0:0', '--fsize=33554432', '--cpu=20', '--'];
  const command = [
    ...[...limit, ...argv, inside.node, '--max-old-space-size=256'],
    ...['--require', join(inside.cache, 'warm.cjs'), join(inside.package, server.script)],
  ];
  await runHelper(command, {
    timeoutMs: warmMsMax,
    uid,
    env: { HOME: inside.home, TMPDIR: inside.tmp, PATH: inside.path },
    input: conversation.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join(''),
  });
}

const cacheBytesMax = 64 * 1024 * 1024;
const cacheFilesMax = 10_000;

/** Copies the compiled code, and nothing but plain files of a believable size. @returns how many */
async function copyCache(from: string, to: string): Promise<number> {
  let files = 0;
  let bytes = 0;
  for (const dir of await readdir(from, { withFileTypes: true })) {
    if (!dir.isDirectory()) continue;
    await mkdir(join(to, dir.name), { mode: 0o755 });
    for (const entry of await readdir(join(from, dir.name), { withFileTypes: true })) {
      const source = join(from, dir.name, entry.name);
      if (!entry.isFile()) continue;
      files += 1;
      bytes += lstatSync(source).size;
      if (files > cacheFilesMax || bytes > cacheBytesMax) throw new Error('the compiled code is too large');
      const target = join(to, dir.name, entry.name);
      copyAsOurs(source, target, 0o644);
    }
  }
  return files;
}
