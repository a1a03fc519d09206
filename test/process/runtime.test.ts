// The driver's contract against real shims: start, follow, adopt, end, at every rung this machine has.
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeGeneration } from '../../src/runtime/bundle.ts';
import { bundleDir, homeDir, instanceDir } from '../../src/runtime/bundle-names.ts';
import type { Driver, Handle } from '../../src/runtime/driver.ts';
import { isSame, uidOf } from '../../src/runtime/process-identity.ts';
import { readProcessTable, treeOf } from '../../src/runtime/process-table.ts';
import { bundleFiles } from '../../src/shim/contract.ts';
import { fixtureType, freePort, openTestDriver, type TestDriver } from '../support/driver.ts';
import { ownShim } from '../support/store.ts';

const quick = { reason: 'user', drainMs: 0, graceMs: 200 } as const;
const isRoot = process.getuid?.() === 0;
let test: TestDriver;

describe.each(['L0', 'L4'] as const)('held at %s', (isolationMax) => {
  beforeAll(async () => {
    test = await openTestDriver({ isolationMax });
  });
  afterAll(() => test.dispose());

  it('starts once however often it is asked, and returns the same handle', async () => {
    const spec = await test.spec();
    const handles = await Promise.all([test.driver.start(spec), test.driver.start(spec)]);
    handles.push(await test.driver.start(spec));
    expect(new Set(handles.map((handle) => JSON.stringify(handle))).size).toBe(1);
    const handle = handles[0] as Handle;
    expect(isSame(handle)).toBe(true);
    expect(await test.driver.list()).toEqual([handle]);
    await test.driver.stop(handle, quick);
    // A generation that is over is not started again.
    expect(await test.driver.start(spec)).toEqual(handle);
    expect(isSame(handle)).toBe(false);
    await test.heard(handle, 'ended');
  });

  it('gives the server its environment and nothing of ours', async () => {
    const instance = await test.run({
      apiKey: 'canary-key',
      type: {
        ...fixtureType,
        key_variable: 'THE_KEY',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
        environment: { FILE: '${HOME}/file' },
        inputs: [
          { name: 'COLOUR', is_required: false, is_secret: false, default: 'red' },
          { name: 'SHAPE', is_required: false, is_secret: false },
        ],
      },
      config: { environment: { SHAPE: 'round' } },
    });
    const { value } = await instance.deed('environment');
    const env = value as Record<string, string>;
    // bubblewrap adds PWD, the home.
    const names = Object.keys(env).filter((name) => name !== 'PWD');
    expect(names.sort().join(' ')).toBe(
      'COLOUR FILE HOME LANG MCP_INSTANCE_ID NODE_OPTIONS PATH SHAPE THE_KEY TMPDIR',
    );
    expect(env).toMatchObject({
      COLOUR: 'red',
      SHAPE: 'round',
      THE_KEY: 'canary-key',
      FILE: `${env.HOME}/file`,
    });
    expect(env.MCP_INSTANCE_ID).toBe(instance.handle.instanceId);
    for (const { pid } of treeOf(readProcessTable(), instance.handle.pid)) {
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('canary-key');
    }
    await test.driver.stop(instance.handle, quick);
  });

  it('keeps the home from generation to generation and empties the temporary directory', async () => {
    const first = await test.run();
    const { HOME, TMPDIR } = (await first.deed('environment')).value as { HOME: string; TMPDIR: string };
    for (const dir of [HOME, TMPDIR]) await first.deed('write', { path: `${dir}/note`, text: 'kept?' });
    await test.driver.stop(first.handle, quick);
    // Another port is another user, who gets the home.
    const second = await test.run({ instanceId: first.handle.instanceId, generation: 2 });
    expect(await second.deed('read', { path: `${HOME}/note` })).toEqual({ value: 'kept?' });
    expect(await second.deed('read', { path: `${TMPDIR}/note` })).toEqual({ error: 'ENOENT' });
    await test.driver.stop(second.handle, quick);
    await test.driver.remove(first.handle.instanceId);
    expect(await readdir(instanceDir(test.dataDir, first.handle.instanceId)).catch(() => [])).not.toContain(
      'home',
    );
    for (const generation of [1, 2]) await removeGeneration(test.dataDir, { ...first.handle, generation });
    await expect(stat(instanceDir(test.dataDir, first.handle.instanceId))).rejects.toThrow('ENOENT');
    await test.driver.remove(first.handle.instanceId);
  });

  it('is adopted by the next supervisor, which fences the one before', async () => {
    const instance = await test.run();
    const next = await test.reopen(2);
    const [found] = (await next.list()).filter(({ instanceId }) => instanceId === instance.handle.instanceId);
    expect(found).toEqual(instance.handle);
    const adopted = await next.adopt(instance.handle);
    expect(adopted).toMatchObject({ state: 'alive', shim: { phase: 'running', restarts: 0 } });
    await next.setToken(instance.handle, 'ab'.repeat(32));
    const answer = await fetch(`http://127.0.0.1:${instance.spec.port}/mcp`, {
      method: 'POST',
      headers: { authorization: `Bearer ${instance.token}` },
    });
    expect(answer.status).toBe(401);
    const late = test.driver.setDeadline(instance.handle, { remainingMs: 1, expiresAt: new Date() });
    await expect(late).rejects.toMatchObject({ code: 'node_fenced' });
    await expect(test.driver.stop(instance.handle, quick)).rejects.toMatchObject({ code: 'node_fenced' });
    expect(isSame(instance.handle)).toBe(true);
    await next.stop(instance.handle, quick);
  });

  it('moves the deadline, which the shim keeps by itself', async () => {
    const instance = await test.run();
    await test.driver.setDeadline(instance.handle, { remainingMs: 50, expiresAt: new Date() });
    await test.heard(instance.handle, 'ended');
    expect(await test.driver.inspect(instance.handle)).toMatchObject({
      state: 'ended',
      exit: { reason: 'expired' },
    });
    expect(await test.driver.stop(instance.handle, quick)).toMatchObject({
      exit: { reason: 'expired' },
      processes: 0,
    });
  });

  it('says why a server that never worked has ended', async () => {
    const spec = await test.spec({ type: { ...fixtureType, arguments: ['--exit-at-start'] } });
    const handle = await test.driver.start(spec);
    await test.heard(handle, 'ended');
    const found = await test.driver.inspect(handle);
    expect(found).toMatchObject({
      state: 'ended',
      exit: { reason: 'start_failed', exitCode: 3, wasReady: false },
    });
    expect(JSON.stringify(found)).toContain('cannot go on: no such thing');
  });

  it('tells a port that is taken from one that is free', async () => {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen({ port, host: '127.0.0.1' }, resolve));
    const handle = await test.driver.start(await test.spec({ port }));
    await test.heard(handle, 'ended');
    const found = await test.driver.inspect(handle);
    expect(JSON.stringify(found)).toContain('EADDRINUSE');
    await new Promise((resolve) => server.close(resolve));
  });

  it('measures a tree with its shim', async () => {
    const instance = await test.run();
    const usage = (await test.driver.usage([instance.handle])).get(instance.handle.instanceId);
    expect(usage?.processes).toBe(treeOf(readProcessTable(), instance.handle.pid).length);
    expect(usage?.memoryBytes).toBeGreaterThan(40 * 1024 * 1024);
    await test.driver.stop(instance.handle, quick);
    expect(await test.driver.usage([instance.handle])).toEqual(new Map());
  });

  it('says silent, not gone, of a shim that was stopped by a signal', async () => {
    const instance = await test.run();
    process.kill(instance.handle.pid, 'SIGSTOP');
    expect(await test.driver.inspect(instance.handle)).toMatchObject({ state: 'silent' });
    process.kill(instance.handle.pid, 'SIGCONT');
    expect(await test.driver.inspect(instance.handle)).toMatchObject({ state: 'alive' });
    await test.driver.stop(instance.handle, quick);
  });

  it('leaves no process, descriptor or cgroup behind after many rounds', async () => {
    const round = async (driver: Driver): Promise<void> => {
      const instance = await test.run();
      await driver.stop(instance.handle, quick);
      await removeGeneration(test.dataDir, instance.handle);
      await driver.remove(instance.handle.instanceId);
    };
    await round(test.driver);
    const before = (await readdir('/proc/self/fd')).length;
    for (let turn = 0; turn < 5; turn += 1) await round(test.driver);
    expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before + 2);
  });
});

describe('a start that cannot be', () => {
  beforeAll(async () => {
    test = await openTestDriver({ isolationMax: 'L1' });
  });
  afterAll(() => test.dispose());

  it('for want of isolation is refused with what is missing, and leaves nothing', async () => {
    const spec = await test.spec({ minIsolation: 'L3' });
    await expect(test.driver.start(spec)).rejects.toMatchObject({
      code: 'isolation_unavailable',
      message: expect.stringMatching(/L3 is required.*L2: /),
    });
    await expect(stat(instanceDir(test.dataDir, spec.instanceId))).rejects.toThrow('ENOENT');
  });

  it('because its shim dies at once is told as an end without a record, and leaves no process', async () => {
    const shim = await ownShim(test.dataDir);
    await rename(shim, `${shim}.aside`);
    const handle = await test.driver.start(await test.spec());
    await test.heard(handle, 'ended');
    expect(await test.driver.inspect(handle)).toMatchObject({ state: 'ended', exit: null });
    expect(await test.driver.stop(handle, quick)).toEqual({ exit: null, processes: 0 });
    // What Node said about it is kept for whoever looks.
    const crash = await readFile(join(bundleDir(test.dataDir, handle), bundleFiles.crash), 'utf8');
    expect(crash).toContain('Cannot find module');
    await rename(`${shim}.aside`, shim);
  });
});

describe('state files', () => {
  beforeAll(async () => {
    test = await openTestDriver();
  });
  afterAll(() => test.dispose());

  const recordOf = (handle: Handle): string => join(bundleDir(test.dataDir, handle), bundleFiles.identity);

  it('are refused when they are links, copies, torn, of another generation or from another boot', async () => {
    const instance = await test.run();
    const { handle } = instance;
    const path = recordOf(handle);
    const good = await readFile(path, 'utf8');
    const aside = join(test.dataDir, 'aside.json');
    const seen = async (): Promise<number> => (await test.driver.list()).length;
    expect(await seen()).toBe(1);

    await rename(path, aside);
    expect(await seen(), 'absent').toBe(0);
    await symlink(aside, path);
    expect(await seen(), 'a link').toBe(0);
    await rm(path);
    await writeFile(path, good.slice(0, -5));
    expect(await seen(), 'torn').toBe(0);
    await writeFile(path, JSON.stringify({ ...JSON.parse(good), generation: 2 }));
    expect(await seen(), 'of another generation').toBe(0);
    await writeFile(path, JSON.stringify({ ...JSON.parse(good), pid: 1 }));
    expect(await seen(), 'of the first process').toBe(0);
    await writeFile(path, JSON.stringify({ ...JSON.parse(good), bootId: 'another' }));
    const [stale] = await test.driver.list();
    expect(await test.driver.inspect(stale as Handle), 'from another boot').toMatchObject({ state: 'ended' });
    await writeFile(path, good);
    expect(await test.driver.inspect((await test.driver.list())[0] as Handle)).toMatchObject({
      state: 'alive',
    });
    await test.driver.stop(handle, quick);
    await removeGeneration(test.dataDir, handle);
  });

  it('cannot be forged, nor can the bundle be replaced, by the instance itself', async () => {
    const instance = await test.run();
    const dir = bundleDir(test.dataDir, instance.handle);
    const found = await lstat(dir);
    if (isRoot) {
      expect([found.uid, found.mode & 0o7777]).toEqual([0, 0o1770]);
      expect((await lstat(recordOf(instance.handle))).uid).toBe(0);
      expect((await lstat(homeDir(test.dataDir, instance.handle.instanceId))).mode & 0o777).toBe(0o700);
      expect(uidOf(instance.handle.pid)).toBe(instance.handle.uid);
    } else {
      expect(found.mode & 0o7777).toBe(0o700);
    }
    await test.driver.stop(instance.handle, quick);
    await removeGeneration(test.dataDir, instance.handle);
  });

  it('with names that are none are not looked at', async () => {
    const instances = join(test.dataDir, 'instances');
    await mkdir(join(instances, 'not-a-uuid', '1'), { recursive: true });
    await mkdir(join(instances, '00000000-0000-4000-8000-000000000001', '01'), { recursive: true });
    await symlink('/etc', join(instances, '00000000-0000-4000-8000-000000000002'));
    expect(await test.driver.list()).toEqual([]);
    await expect(test.driver.remove('../../etc')).rejects.toThrow('UUID');
  });
});

it('reaches a shim whose socket has a path longer than sockets take', async () => {
  const short = await openTestDriver();
  const long = join(short.dataDir, 'a'.repeat(60), 'b'.repeat(60));
  await mkdir(long, { recursive: true });
  await chmod(join(short.dataDir, 'a'.repeat(60)), 0o711);
  const deep = await openTestDriver({ dataDir: long });
  const instance = await deep.run();
  expect(await deep.driver.inspect(instance.handle)).toMatchObject({ state: 'alive' });
  await deep.dispose();
  await short.dispose();
});

it('hears of a shim that was killed from outside', async () => {
  const killed = await openTestDriver();
  const instance = await killed.run();
  process.kill(instance.handle.pid, 'SIGKILL');
  await killed.heard(instance.handle, 'ended');
  expect(await killed.driver.inspect(instance.handle)).toMatchObject({ state: 'ended', exit: null });
  expect(await killed.driver.stop(instance.handle, quick)).toEqual({ exit: null, processes: 0 });
  await killed.dispose();
});
