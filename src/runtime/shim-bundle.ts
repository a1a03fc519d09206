// Makes the one file a shim is run from: src/shim bundled into a single CommonJS script, because loading one script
// costs a shim a third of the memory and time of loading modules. A failure to bundle is a failure to start at all.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { replaceFile } from '../base/durable.ts';

/**
 * How node is told to stay small. The young generation is what grows a shim. Only what leaves the compiled code that node
 * comes with good: the rest the shim sets itself (src/shim/frugal.ts, docs/adr/0021).
 */
export const shimNodeFlags: readonly string[] = [
  '--max-old-space-size=64',
  '--max-semi-space-size=1',
  '--single-threaded-gc',
  '--no-concurrent-recompilation',
  '--v8-pool-size=1',
];

const pending = new Map<string, Promise<string>>();

/**
 * Puts the shim into `directory` as shim-<hash of its sources>.cjs, whole or not at all, readable by every user.
 * @returns its path; the same one as long as the shim does not change
 */
export function bundleShim(directory: string): Promise<string> {
  const known = pending.get(directory);
  if (known) return known;
  const made = place(directory).catch((error: unknown) => {
    pending.delete(directory);
    throw error;
  });
  pending.set(directory, made);
  return made;
}

async function place(directory: string): Promise<string> {
  const hash = createHash('sha256');
  for (const source of isBuilt() ? [prebuiltPath()] : await sourcePaths())
    hash.update(await readFile(source));
  const path = join(directory, `shim-${hash.digest('hex').slice(0, 16)}.cjs`);
  if (await stat(path).catch(() => undefined)) return path;
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await replaceFile(path, await (isBuilt() ? readFile(prebuiltPath()) : renderShim()), 0o644);
  return path;
}

/** Whether this is the published program, compiled into dist/, which carries the shim ready-made. */
function isBuilt(): boolean {
  return import.meta.filename.endsWith('.js');
}

function prebuiltPath(): string {
  return fileURLToPath(new URL('../shim/shim.cjs', import.meta.url));
}

/** Everything a shim may be made of, and how it is made: more than it is, so that nothing that changes it is missed. */
async function sourcePaths(): Promise<string[]> {
  const rooms = ['shim', 'base', 'domain'].map((room) =>
    fileURLToPath(new URL(`../${room}`, import.meta.url)),
  );
  const entries = await Promise.all(
    rooms.map((room) => readdir(room, { recursive: true, withFileTypes: true })),
  );
  const files = entries.flat().filter((entry) => entry.isFile());
  return [import.meta.filename, ...files.map((entry) => join(entry.parentPath, entry.name)).sort()];
}

/** Bundles src/shim/main.ts; what publishing puts at dist/shim/shim.cjs. */
async function renderShim(): Promise<Uint8Array> {
  const esbuild = await import('esbuild');
  try {
    const result = await esbuild.build({
      entryPoints: [fileURLToPath(new URL('../shim/main.ts', import.meta.url))],
      bundle: true,
      write: false,
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      charset: 'ascii',
      minifyWhitespace: true,
      minifySyntax: true,
      legalComments: 'none',
      logLevel: 'silent',
    });
    const [file] = result.outputFiles;
    if (!file) throw new Error('the shim was bundled into nothing');
    return file.contents;
  } finally {
    // Otherwise its process stays for as long as ours.
    await esbuild.stop();
  }
}
