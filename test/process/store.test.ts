// The store: what instances must read lies there once, whole, ours and read-only, wherever it came from and however
// many ask for it at once.
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPackageStore, type PackageStore } from '../../src/catalog/package-store.ts';
import type { ServerType } from '../../src/domain/server-type.ts';
import { createCompileCaches } from '../../src/runtime/compile-cache.ts';
import { probeIsolation } from '../../src/runtime/isolation.ts';
import { reaches } from '../../src/runtime/ladder.ts';
import { runHelper } from '../../src/runtime/launcher.ts';
import { openStore, placeRuntime } from '../../src/runtime/store.ts';
import { silentLog } from '../support/cluster.ts';
import { fixtureType } from '../support/driver.ts';

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
  let registry: Server;
  let url: string;
  let asked: string[];

  beforeEach(async () => {
    asked = [];
    const tarball = await tarballOf({
      'package.json': JSON.stringify({
        ...{ name: 'far', version: '1.2.3', bin: { far: 'cli.js' } },
        scripts: { preinstall: `touch ${dataDir}/ran`, postinstall: `touch ${dataDir}/ran` },
      }),
      'cli.js': `console.log('from afar')`,
    });
    registry = createServer((request, response) => {
      asked.push(request.url ?? '');
      if (request.url?.endsWith('.tgz')) return response.end(tarball);
      if (request.url !== '/far') return response.writeHead(404).end('{}');
      const dist = {
        tarball: `${url}/far/-/far-1.2.3.tgz`,
        integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
      };
      const version = { name: 'far', version: '1.2.3', bin: { far: 'cli.js' }, dist };
      response.setHeader('content-type', 'application/json');
      return response.end(
        JSON.stringify({ name: 'far', 'dist-tags': { latest: '1.2.3' }, versions: { '1.2.3': version } }),
      );
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    const address = registry.address();
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  });
  afterEach(() => new Promise((resolve) => registry.close(resolve)));

  const far: ServerType = {
    ...fixtureType,
    package_name: 'far',
    package_version: '1.2.3',
    server_script: '',
  };

  it('is fetched at its exact version without running its scripts, once, and stays', async () => {
    const store = open({ npmEnv: { npm_config_registry: url } });
    expect(await store.has(far)).toBe(false);
    const [{ dir, script }] = await Promise.all([store.resolve(far), store.resolve(far)]);
    expect(await store.has(far)).toBe(true);
    expect(asked.filter((path) => path.endsWith('.tgz')).length).toBe(1);
    expect(await readdir(dataDir)).not.toContain('ran');
    const result = await runHelper([process.execPath, join(dir, script)], { timeoutMs: 10_000 });
    expect(result.stdout).toBe('from afar');
    expect((await lstat(join(dir, script))).uid).toBe(process.getuid?.());
    // Also without the registry, by another supervisor.
    expect((await open({ npmTimeoutMs: 1 }).resolve(far)).dir).toBe(dir);
    expect((await readdir(join(dataDir, 'store'))).filter((name) => name.startsWith('npm-'))).toEqual([]);
  });

  it('and is not there either is unavailable, with what npm said and what to do', async () => {
    const store = open({ npmEnv: { npm_config_registry: url } });
    const missing = { ...far, package_name: 'nowhere' };
    await expect(store.resolve(missing)).rejects.toMatchObject({
      code: 'type_unavailable',
      message: expect.stringMatching(/nowhere@1\.2\.3[\s\S]*E404[\s\S]*npm install/),
    });
    const before = asked.length;
    await expect(store.resolve(missing)).rejects.toMatchObject({ code: 'type_unavailable' });
    expect(asked.length, 'it is not asked for again at once').toBe(before);
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
  const files = await placeRuntime(dataDir, process.execPath);
  expect((await readdir(store)).sort()).toEqual([
    expect.stringMatching(/^etc-/),
    expect.stringMatching(/^node-v/),
  ]);
  expect((await lstat(files.node)).mode & 0o777).toBe(0o755);
  expect(files.libraries.some((path) => /libc|libSystem/.test(path))).toBe(true);
  expect(await placeRuntime(dataDir, process.execPath)).toEqual(files);
});

it('holds compiled code of a server that was run once, read-only', async () => {
  const files = await placeRuntime(dataDir, process.execPath);
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

/** An npm package: plain files in a gzipped ustar archive, under package/. */
async function tarballOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const header = Buffer.alloc(512);
    const body = Buffer.from(text);
    header.write(`package/${name}`, 0);
    header.write('0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write('0', 156);
    header.write('ustar\0', 257);
    header.write('00', 263);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return promisify(gzip)(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}
