// The house rules that a test can hold: who may import whom, which package has its one door, where SQL, clocks and the
// environment may stand, and that a migration never changes once it has landed.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root, type SourceFile, sourcesIn } from './support/source.ts';

const sources = sourcesIn('src');

/** Rooms from the ground up; rooms of one row do not know each other. */
const rows: readonly (readonly string[])[] = [
  ['base'],
  ['domain'],
  ['shim/contract', 'api/contract'],
  ['db'],
  ['runtime'],
  ['secrets', 'ports', 'logs'],
  ['catalog'],
  ['instances'],
  ['accounts'],
  ['jobs'],
  ['api'],
  ['daemon'],
];

/** Programs that stand apart, and all they may know. */
const apart: Readonly<Record<string, readonly string[]>> = {
  shim: ['base/errors', 'base/clock', 'domain/restart', 'domain/server-type', 'shim/contract'],
  cli: ['base', 'domain', 'api/contract'],
  dashboard: ['domain', 'api/contract', 'base/errors'],
};

/** Files of a program apart that open another room on purpose, with the reason. */
const doors: Readonly<Record<string, readonly string[]>> = {
  // The command line starts the daemon's programs in its own process; each is imported only when it is asked for.
  'src/cli/main.ts': ['daemon'],
  'src/cli/commands': ['daemon'],
};

const packageDoors: Readonly<Record<string, readonly string[]>> = {
  pg: ['src/db/'],
  'pg-copy-streams': ['src/db/'],
  'node-pg-migrate': ['src/db/'],
  'pg-boss': ['src/jobs/queue.ts'],
  execa: ['src/runtime/launcher.ts'],
  pidusage: ['src/runtime/usage.ts'],
  'node-cron': ['src/jobs/schedule.ts'],
  pino: ['src/base/log.ts'],
  fastify: ['src/api/'],
  '@fastify/': ['src/api/'],
  zod: [
    'src/api/',
    'src/db/',
    'src/daemon/config.ts',
    'src/catalog/',
    'src/runtime/',
    'src/accounts/',
    'src/secrets/',
    'src/logs/',
  ],
  esbuild: ['src/runtime/shim-bundle.ts'],
  commander: ['src/cli/'],
  preact: ['src/dashboard/'],
  '@preact/': ['src/dashboard/'],
  // Where MCP is spoken as a library: the control endpoint, the demo's client, and where the API tries a tool. What
  // clients call of instances never is.
  '@modelcontextprotocol/': ['src/api/mcp/', 'src/api/visitor.ts', 'src/cli/demo-life.ts'],
};

function roomOf(path: string): string {
  const inside = path.replace(/^src\//, '');
  if (inside === 'shim/contract.ts' || inside === 'api/contract.ts') return inside.replace('.ts', '');
  return inside.split('/')[0] ?? '';
}

function mayImport(from: SourceFile, target: string): boolean {
  const room = roomOf(from.path);
  const other = roomOf(target);
  if (room === other) return true;
  const allowed = apart[room];
  if (allowed !== undefined) {
    const inside = target.replace(/^src\//, '').replace(/\.ts$/, '');
    const opened = Object.entries(doors).flatMap(([path, rooms]) =>
      from.path.startsWith(path) ? rooms : [],
    );
    return [...allowed, ...opened].some((name) => inside === name || inside.startsWith(`${name}/`));
  }
  const height = rows.findIndex((row) => row.includes(room));
  const otherHeight = rows.findIndex((row) => row.includes(other));
  return height >= 0 && otherHeight >= 0 && otherHeight < height;
}

describe('imports', () => {
  it('go only to rooms below', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ file }) => file !== undefined && !mayImport(source, file))
        .map(({ file }) => `${source.path} → ${file}`),
    );
    expect(wrong).toEqual([]);
  });

  it('form no cycle', () => {
    const byPath = new Map(sources.map((source) => [source.path, source]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      if (trail.includes(path) || done.has(path)) return;
      for (const { file } of byPath.get(path)?.imports ?? [])
        if (file !== undefined) visit(file, [...trail, path]);
      done.add(path);
    };
    for (const source of sources) visit(source.path, []);
    expect(cycles).toEqual([]);
  });

  it('of a package pass through its one door', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ file, typeOnly }) => file === undefined && !(typeOnly && roomOf(source.path) === 'shim'))
        .filter(({ specifier }) => {
          const entry = Object.entries(packageDoors).find(
            ([name]) => specifier === name || specifier.startsWith(name.endsWith('/') ? name : `${name}/`),
          );
          const contract = specifier === 'zod' && source.path.endsWith('/contract.ts');
          return entry !== undefined && !contract && !entry[1].some((door) => source.path.startsWith(door));
        })
        .map(({ specifier }) => `${source.path} → ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('of the shim are Node itself and a handful of files', () => {
    const shim = sources.filter(({ path }) => path.startsWith('src/shim/'));
    const packages = shim.flatMap((source) =>
      source.imports
        .filter(({ specifier, file, typeOnly }) => file === undefined && !typeOnly && !isBuiltin(specifier))
        .map(({ specifier }) => `${source.path} → ${specifier}`),
    );
    expect(packages).toEqual([]);
  });

  it('of the page take nothing but types from the rooms, and two packages', () => {
    const page = sources.filter(({ path }) => path.startsWith('src/dashboard/'));
    const wrong = page.flatMap((source) =>
      source.imports
        .filter(({ specifier, file, typeOnly }) =>
          file === undefined
            ? !['preact', '@preact/signals'].some(
                (name) => specifier === name || specifier.startsWith(`${name}/`),
              )
            : !typeOnly && !file.startsWith('src/dashboard/') && !file.startsWith('src/domain/'),
        )
        .map(({ specifier }) => `${source.path} → ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('never go through a barrel', () => {
    expect(sources.filter(({ path }) => path.endsWith('/index.ts')).map(({ path }) => path)).toEqual([]);
  });
});

describe('source files', () => {
  const offenders = (pattern: RegExp, allowed: readonly string[]): string[] =>
    sources
      .filter(({ path, code }) => pattern.test(code) && !allowed.some((prefix) => path.startsWith(prefix)))
      .map(({ path }) => path);

  it('hold SQL only in db/', () => {
    expect(
      offenders(
        /[`'"]\s*(SELECT\s|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s+\w+\s+AS\s*\(|COPY\s+\w+)/,
        ['src/db/'],
      ),
    ).toEqual([]);
  });

  it('read clocks only in base/clock.ts', () => {
    expect(
      offenders(/\bDate\.now\(|new Date\(\)|performance\.now\(|process\.hrtime/, [
        'src/base/clock.ts',
        'src/dashboard/clock.ts',
      ]),
    ).toEqual([]);
  });

  it('read the environment only at the doors', () => {
    expect(
      offenders(/process\.env\b/, [
        'src/daemon/config.ts',
        'src/shim/main.ts',
        'src/cli/main.ts',
        'src/daemon/main.ts',
      ]),
    ).toEqual([]);
  });

  it('say first what they are for', () => {
    expect(sources.filter(({ text }) => !/^(#!.*\n)?\/\//.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it('carry no leftovers', () => {
    expect(
      sources.filter(({ text }) => /\b(TODO|FIXME|XXX|HACK)\b/.test(text)).map(({ path }) => path),
    ).toEqual([]);
  });
});

describe('migrations', () => {
  const landed = join(root, 'migrations', 'landed.sha256');
  const files = readdirSync(join(root, 'migrations'))
    .filter((name) => name.endsWith('.sql'))
    .sort();

  it('have an up and a down', () => {
    for (const name of files) {
      const text = readFileSync(join(root, 'migrations', name), 'utf8');
      expect(text, name).toMatch(/^-- Up Migration$/m);
      expect(text, name).toMatch(/^-- Down Migration$/m);
    }
  });

  it('never change after they have landed', () => {
    expect(existsSync(landed), 'migrations/landed.sha256 lists them').toBe(true);
    const expected = readFileSync(landed, 'utf8').trim().split('\n');
    const actual = files.map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(root, 'migrations', name)))
          .digest('hex')}  ${name}`,
    );
    expect(actual, 'a new migration is added with: cd migrations && sha256sum *.sql > landed.sha256').toEqual(
      expected,
    );
  });
});
