// The store: what instances must read lies there once, whole, ours and read-only, wherever it came from and however
// many ask for it at once.
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLedger, type Ledger } from '../../src/catalog/ledger.ts';
import { createPackageStore, type PackageStore } from '../../src/catalog/package-store.ts';
import type { ServerType } from '../../src/domain/server-type.ts';
import { createCompileCaches } from '../../src/runtime/compile-cache.ts';
import { probeIsolation } from '../../src/runtime/isolation.ts';
import { reaches } from '../../src/runtime/ladder.ts';
import { runHelper } from '../../src/runtime/launcher.ts';
import { openStore, placeRuntime } from '../../src/runtime/store.ts';
import { silentLog } from '../support/cluster.ts';
import { testDatabase } from '../support/database.ts';
import { fixtureType } from '../support/driver.ts';
import { type NpmRegistry, openNpmRegistry } from '../support/npm-registry.ts';

let dataDir: string;
let program: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'minimcp-store-'));
  await chmod(dataDir, 0o711);
  program = join(dataDir, 'program');
  await makeProgram();
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
}

/** A program whose dependency has two versions of one of its own, one of them nested, and one linked from elsewhere. */
async function makeProgram(): Promise<void> {
  const at = (...parts: string[]): string => join(program, 'node_modules', ...parts);
  await put(join(program, 'package.json'), '{"name":"program","version":"1.0.0"}');
  await put(
    at('server', 'package.json'),
    JSON.stringify({
      ...{ name: 'server', version: '1.0.0', bin: './main.cjs' },
      dependencies: { a: '*', linked: '*', '@scope/b': '*' },
      optionalDependencies: { absent: '*' },
    }),
  );
  await put(
    at('server', 'main.cjs'),
    `console.log(['a', '@scope/b', 'linked', 'c'].map((name) => { try { return require(name) } catch { return name + '-' } }).join())`,
  );
  await put(at('a', 'package.json'), '{"name":"a","version":"1.0.0","dependencies":{"c":"*"}}');
  await put(at('a', 'index.js'), `module.exports = 'a' + require('c')`);
  await put(at('a', 'node_modules', 'c', 'package.json'), '{"name":"c","version":"2.0.0"}');
  await put(at('a', 'node_modules', 'c', 'index.js'), `module.exports = 'c2'`);
  await put(at('c', 'package.json'), '{"name":"c","version":"1.0.0"}');
  await put(at('c', 'index.js'), `module.exports = 'c1'`);
  await put(
    at('@scope', 'b', 'package.json'),
    '{"name":"@scope/b","version":"1.0.0","dependencies":{"server":"*"}}',
  );
  await put(at('@scope', 'b', 'index.js'), `module.exports = 'b'`);
  await put(at('@scope', 'b', 'index.d.ts'), `export {}`);
  await put(join(program, 'lib', 'linked', 'package.json'), '{"name":"linked","version":"1.0.0"}');
  await put(join(program, 'lib', 'linked', 'index.js'), `module.exports = 'l'`);
  await symlink('../lib/linked', at('linked'));
  await put(at('secret', 'package.json'), '{"name":"secret","version":"1.0.0"}');
}

const serverType: ServerType = { ...fixtureType, package_name: 'server', server_script: '' };
const open = (more: Partial<Parameters<typeof createPackageStore>[0]> = {}): PackageStore =>
  createPackageStore({ dataDir, root: program, log: silentLog, ...more });

describe('a package among our own dependencies', () => {
  it('is stored with all it needs and nothing else, and runs from there', async () => {
    const { dir, script, program: file } = await open().resolve(serverType);
    expect(file).toBe('main.cjs');
    await rm(program, { recursive: true });
    const result = await runHelper([process.execPath, join(dir, script)], { timeoutMs: 10_000 });
    // c is a dependency of a only: the version nested there.
    expect(result).toMatchObject({ ok: true, stdout: 'ac2,b,l,c-' });
    expect((await readdir(join(dir, 'node_modules'))).sort()).toEqual(['@scope', 'a', 'linked', 'server']);
    expect(await readdir(join(dir, 'node_modules', '@scope', 'b'))).not.toContain('index.d.ts');
  });

  it('is stored once, whoever asks and how often, and is found again', async () => {
    const found = await Promise.all(
      Array.from({ length: 6 }, () => open()).flatMap((store) => [
        store.resolve(serverType),
        store.resolve(serverType),
      ]),
    );
    expect(new Set(found.map(({ dir }) => dir)).size).toBe(1);
    const places = await readdir(join(dataDir, 'store', 'packages'));
    expect(places).toEqual([expect.stringMatching(/^server@1\.0\.0-[0-9a-f]{12}$/)]);
  });

  it('is stored anew when something it needs has changed', async () => {
    const first = await open().resolve(serverType);
    await put(join(program, 'node_modules', 'a', 'package.json'), '{"name":"a","version":"1.0.1"}');
    const second = await open().resolve(serverType);
    expect(second.dir).not.toBe(first.dir);
  });

  it('can be changed by nobody but us', async () => {
    await chmod(join(program, 'node_modules', 'a', 'index.js'), 0o666);
    const { dir } = await open().resolve(serverType);
    for (const name of await readdir(dir, { recursive: true })) {
      const found = await lstat(join(dir, name));
      expect(found.uid).toBe(process.getuid?.());
      if (!found.isSymbolicLink()) expect((found.mode & 0o022).toString(8), name).toBe('0');
      if (!found.isSymbolicLink()) expect(found.mode & 0o004, name).toBe(0o004);
    }
  });

  it('at another version is not the one asked for', async () => {
    const store = open({ npmTimeoutMs: 1 });
    const other = { ...serverType, package_version: '9.9.9' };
    expect(await store.has(serverType)).toBe(true);
    expect(await store.has(other)).toBe(false);
    await expect(store.resolve(other)).rejects.toMatchObject({
      code: 'type_unavailable',
      message: expect.stringContaining('server@9.9.9'),
    });
  });

  it('without the file its type names is unavailable', async () => {
    const store = open();
    await expect(store.resolve({ ...serverType, server_script: 'no.js' })).rejects.toMatchObject({
      code: 'type_unavailable',
      message: expect.stringContaining('no.js'),
    });
  });
});

describe('a package that is not here', () => {
  let registry: NpmRegistry;
  beforeEach(async () => {
    registry = await openNpmRegistry();
    await registry.publish(
      {
        ...{ name: 'far', version: '1.2.3', bin: { far: 'cli.js' }, dependencies: { near: '^1.0.0' } },
        scripts: { preinstall: `touch ${dataDir}/ran`, postinstall: `touch ${dataDir}/ran` },
      },
      { 'cli.js': `console.log('from afar')` },
    );
    await registry.publish({ name: 'near', version: '1.0.0' }, { 'index.js': '' });
  });
  afterEach(() => registry.close());
  const fetching = (ledger?: Ledger): PackageStore =>
    open({ npmEnv: { npm_config_registry: registry.url }, ...(ledger === undefined ? {} : { ledger }) });

  const far: ServerType = {
    ...fixtureType,
    package_name: 'far',
    package_version: '1.2.3',
    server_script: '',
  };

  it('is fetched at its exact version without running its scripts, once, and stays', async () => {
    const store = fetching();
    expect(await store.has(far)).toBe(false);
    const [{ dir, script }] = await Promise.all([store.resolve(far), store.resolve(far)]);
    expect(await store.has(far)).toBe(true);
    expect(registry.asked.filter((path) => /far.*\.tgz$/.test(path)).length).toBe(1);
    expect(await readdir(dataDir)).not.toContain('ran');
    const result = await runHelper([process.execPath, join(dir, script)], { timeoutMs: 10_000 });
    expect(result.stdout).toBe('from afar');
    expect((await lstat(join(dir, script))).uid).toBe(process.getuid?.());
    // Also without the registry, by another supervisor.
    expect((await open({ npmTimeoutMs: 1 }).resolve(far)).dir).toBe(dir);
    expect((await readdir(join(dataDir, 'store'))).filter((name) => name.startsWith('npm-'))).toEqual([]);
  });

  it('is refused when it is not what the registry vouches for, and nothing of it stays', async () => {
    registry.tamper('far');
    await expect(fetching().resolve(far)).rejects.toMatchObject({ code: 'package_tampered' });
    expect(await readdir(join(dataDir, 'store', 'packages'))).toEqual([]);
    expect((await readdir(join(dataDir, 'store'))).filter((name) => name.startsWith('npm-'))).toEqual([]);
  });

  it('is refused when it needs what no registry vouches for', async () => {
    const elsewhere = { elsewhere: `${registry.url}/near/-/near-1.0.0.tgz` };
    const repository = { repository: 'git+file:///nowhere/x.git' };
    for (const [name, dependencies] of Object.entries({ elsewhere, repository })) {
      await registry.publish(
        { name: `with-${name}`, version: '1.0.0', bin: 'cli.js', dependencies },
        { 'cli.js': '' },
      );
      const loose = { ...far, package_name: `with-${name}`, package_version: '1.0.0' };
      // npm refuses it itself where it is new enough; its lock tells where it is not.
      await expect(fetching().resolve(loose), name).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:package_tampered|type_unavailable)$/),
        message: expect.stringContaining(name),
      });
    }
    expect(await readdir(join(dataDir, 'store', 'packages'))).toEqual([]);
  });

  it('is the same tree wherever it is installed again, and is not used once its files have changed', async () => {
    const database = await testDatabase();
    try {
      const ledger = createLedger(database.db);
      const { dir } = await fetching(ledger).resolve(far);
      const near = join('node_modules', 'near', 'package.json');
      expect(JSON.parse(await readFile(join(dir, near), 'utf8')).version).toBe('1.0.0');

      // A newer version of what it needs would be within its range: the first installation has decided.
      await registry.publish({ name: 'near', version: '1.1.0' }, { 'index.js': '' });
      await rm(dir, { recursive: true });
      await fetching(ledger).resolve(far);
      expect(JSON.parse(await readFile(join(dir, near), 'utf8')).version).toBe('1.0.0');

      await writeFile(join(dir, 'node_modules', 'far', 'cli.js'), `console.log('from afaR')`);
      await expect(fetching(ledger).resolve(far)).rejects.toMatchObject({
        code: 'package_tampered',
        message: expect.stringContaining(dir),
      });
      await rm(dir, { recursive: true });
      await fetching(ledger).resolve(far);

      const { integrity } = await fetching(ledger).facts('far', '1.2.3');
      expect(integrity).toMatch(/^sha512-/);
      await registry.publish({ name: 'far', version: '1.2.3', bin: 'cli.js' }, { 'cli.js': '' });
      await expect(fetching(ledger).facts('far', 'latest')).rejects.toMatchObject({
        code: 'package_tampered',
      });
    } finally {
      await database.dispose();
    }
  }, 90_000);

  it('and is not there either is unavailable, with what npm said and what to do', async () => {
    const store = fetching();
    const missing = { ...far, package_name: 'nowhere' };
    await expect(store.resolve(missing)).rejects.toMatchObject({
      code: 'type_unavailable',
      message: expect.stringMatching(/nowhere@1\.2\.3[\s\S]*E404[\s\S]*npm install/),
    });
    const before = registry.asked.length;
    await expect(store.resolve(missing)).rejects.toMatchObject({ code: 'type_unavailable' });
    expect(registry.asked.length, 'it is not asked for again at once').toBe(before);
  });
});

it('holds a Node that unprivileged users can run, and drops what a kill left half made', async () => {
  const store = await openStore(dataDir);
  const gone = 4_194_000;
  for (const name of [
    `etc-1.${gone}-00000000.draft`,
    `warm-${gone}-abc`,
    `npm-${gone}-abc`,
    `probe-${gone}`,
  ]) {
    await mkdir(join(store, name));
  }
  const files = await placeRuntime(dataDir);
  expect((await readdir(store)).sort()).toEqual([
    expect.stringMatching(/^etc-/),
    expect.stringMatching(/^node-v/),
  ]);
  expect((await lstat(files.node)).mode & 0o777).toBe(0o755);
  expect(files.sharedObjects.some((path) => /libc|libSystem/.test(path))).toBe(true);
  expect(await placeRuntime(dataDir)).toEqual(files);
});

it('holds compiled code of a server that was run once, read-only', async () => {
  const files = await placeRuntime(dataDir);
  const isolation = await probeIsolation({ dataDir, files });
  const { dir, script } = await open().resolve(serverType);
  const caches = createCompileCaches({ dataDir, files, isolation, log: silentLog, delayMs: 0 });
  expect(caches.find(dir)).toBeNull();
  caches.wish(dir, script);
  if (reaches(isolation.level, 'L2')) {
    while (caches.find(dir) === null) await wait(20);
    const cache = caches.find(dir) ?? '';
    const [compiled] = (await readdir(cache)).filter((name) => name !== 'enable.cjs');
    expect((await readdir(join(cache, compiled ?? ''))).length).toBeGreaterThan(0);
    expect(await readFile(join(cache, 'enable.cjs'), 'utf8')).toContain('enableCompileCache');
    for (const name of await readdir(cache, { recursive: true })) {
      const found = await lstat(join(cache, name));
      expect([found.uid, found.mode & 0o022], name).toEqual([process.getuid?.(), 0]);
    }
  }
  await caches.close();
  expect((await readdir(join(dataDir, 'store'))).filter((name) => name.startsWith('warm-'))).toEqual([]);
});
