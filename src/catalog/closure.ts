// Which directories a package needs to run: itself and what it depends on, found as Node finds them. Only reads. A
// dependency that is not there is left out: it may be optional, and Node will say so if it is not. The reading is
// synchronous: thousands of small looks take a tenth of the time that way.
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';

export interface PackageInfo {
  readonly name: string;
  readonly version: string;
  readonly bin: string | undefined;
  readonly dependencies: readonly string[];
}

export interface Closure {
  /** The directory all paths are relative to. */
  readonly base: string;
  /** Directories of packages, each without its nested node_modules. */
  readonly packages: readonly { readonly path: string; readonly name: string; readonly version: string }[];
  /** Links in node_modules that stand for one of them, and where they lead, both relative to `base`. */
  readonly links: readonly { readonly path: string; readonly to: string }[];
  /** Changes when any package of it does. */
  readonly hash: string;
}

/** A package.json, as far as it matters here; undefined when it is not there or is nonsense. */
export function readPackage(dir: string): PackageInfo | undefined {
  try {
    const json = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Record<string, unknown>;
    const { name, version, bin } = json;
    if (typeof name !== 'string' || typeof version !== 'string') return undefined;
    const names = ['dependencies', 'optionalDependencies', 'peerDependencies'].flatMap((field) =>
      Object.keys((json[field] as Record<string, string> | undefined) ?? {}),
    );
    return { name, version, bin: binOf(bin, name), dependencies: [...new Set(names)] };
  } catch {
    return undefined;
  }
}

/** The program of a package: its only one, or the one named like it. */
function binOf(bin: unknown, name: string): string | undefined {
  if (typeof bin === 'string') return normal(bin);
  if (typeof bin !== 'object' || bin === null) return undefined;
  const programs = bin as Record<string, string>;
  const path = programs[name.split('/').at(-1) ?? name] ?? Object.values(programs)[0];
  return typeof path === 'string' ? normal(path) : undefined;
}

function normal(path: string): string | undefined {
  const clean = path.replace(/^(\.\/)+/, '');
  return clean.startsWith('/') || clean.split('/').includes('..') ? undefined : clean;
}

/** The directory Node would take a package from, seen from `from`: the first node_modules upwards that has it. */
export function findPackageDir(from: string, name: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    if (!at.endsWith(`${sep}node_modules`)) {
      const dir = join(at, 'node_modules', name);
      if (statSync(join(dir, 'package.json'), { throwIfNoEntry: false })?.isFile()) return dir;
    }
    if (at === dirname(at)) return undefined;
  }
}

/** Everything the package in `dir` needs. @throws when it is no package */
export async function closureOf(dir: string): Promise<Closure> {
  const found = new Map<string, PackageInfo>();
  const links = new Map<string, string>();
  const queue = [realpathSync(dir)];
  for (let at = 0; at < queue.length; at += 1) {
    const path = queue[at] as string;
    if (found.has(path)) continue;
    await setImmediate();
    const info = readPackage(path);
    if (info === undefined) throw new Error(`${path} is not a package`);
    found.set(path, info);
    for (const name of info.dependencies) {
      const place = findPackageDir(path, name);
      if (place === undefined) continue;
      const real = realpathSync(place);
      if (real !== place && lstatSync(place).isSymbolicLink()) links.set(place, real);
      queue.push(real);
    }
  }
  return describe(found, links);
}

function describe(found: ReadonlyMap<string, PackageInfo>, links: ReadonlyMap<string, string>): Closure {
  const paths = [...found.keys(), ...links.keys()];
  const base = commonBase(paths);
  const packages = [...found]
    .map(([path, { name, version }]) => ({ path: relative(base, path), name, version }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const pointed = [...links].map(([path, to]) => ({ path: relative(base, path), to: relative(base, to) }));
  const text = JSON.stringify([packages, pointed.sort((a, b) => (a.path < b.path ? -1 : 1))]);
  return {
    base,
    packages,
    links: pointed,
    hash: createHash('sha256').update(text).digest('hex').slice(0, 12),
  };
}

/** The deepest directory above all, from which each path still begins with a node_modules or a folder. */
function commonBase(paths: readonly string[]): string {
  const parts = paths.map((path) => path.split(sep));
  const first = parts[0] ?? [];
  let length = 0;
  while (length < first.length && parts.every((other) => other[length] === first[length])) length += 1;
  const common = first.slice(0, length);
  // Up to above the outermost node_modules that is shared, which Node must still find.
  const modules = common.indexOf('node_modules');
  return (modules === -1 ? common : common.slice(0, modules)).join(sep) || sep;
}
