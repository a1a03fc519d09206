// What a hostile server can do from inside: its own work and nothing else. The deeds are tried for real, at the highest
// rung this machine has; what needs a rung that is missing is skipped.
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleDir, homeDir } from '../../src/runtime/bundle-names.ts';
import { reaches } from '../../src/runtime/ladder.ts';
import {
  fixtureType,
  freePort,
  openTestDriver,
  type TestDriver,
  type TestInstance,
} from '../support/driver.ts';

const probe = await openTestDriver();
const { isolation } = await probe.driver.probe();
await probe.dispose();
const isRoot = process.getuid?.() === 0;

describe.runIf(reaches(isolation, 'L3'))('in a sandbox, a hostile server', () => {
  let test: TestDriver;
  let hostile: TestInstance;
  let victim: TestInstance;
  let listener: Server;
  let port: number;

  beforeAll(async () => {
    test = await openTestDriver();
    victim = await test.run({ apiKey: 'canary-victim', type: { ...fixtureType, key_variable: 'THE_KEY' } });
    const { value } = await victim.deed('environment');
    await victim.deed('write', { path: `${(value as { HOME: string }).HOME}/secret`, text: 'canary-file' });
    hostile = await test.run();
    port = await freePort();
    listener = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => listener.listen({ port, host: '127.0.0.1' }, resolve));
  });
  afterAll(async () => {
    listener.close();
    await test.dispose();
  });

  it('sees only itself', async () => {
    const { value } = await hostile.deed('processes');
    expect((value as number[]).length).toBeLessThanOrEqual(3);
    expect(value).not.toContain(victim.handle.pid);
    expect(await hostile.deed('read', { path: `/proc/${victim.handle.pid}/environ` })).toEqual({
      error: 'ENOENT',
    });
    expect(await hostile.deed('signal', { pid: victim.handle.pid, name: 'SIGKILL' })).toEqual({
      error: 'ESRCH',
    });
    expect(await hostile.deed('read', { path: '/proc/1/environ' })).not.toMatchObject({
      value: expect.stringContaining('canary'),
    });
  });

  it('finds no home but its own, no bundle, no data directory, no file of the machine', async () => {
    const { dataDir } = test;
    const places = [
      join(homeDir(dataDir, victim.handle.instanceId), 'secret'),
      join(bundleDir(dataDir, hostile.handle), 'shim.json'),
      join(bundleDir(dataDir, hostile.handle), 'control.sock'),
      '/etc/shadow',
      '/etc/hostname',
      '/root/.bashrc',
      '/bin/sh',
      '/var/lib',
      '/sys/fs/cgroup',
    ];
    for (const path of places) {
      const answer = await hostile.deed('read', { path });
      expect([path, answer.error], path).toEqual([path, expect.stringMatching(/ENOENT|EISDIR/)]);
      if (answer.error === 'EISDIR') expect((await hostile.deed('list', { path })).value).toEqual([]);
    }
    const { value } = await hostile.deed('list', { path: '/' });
    expect(value).toEqual(expect.arrayContaining(['dev', 'etc', 'home', 'opt', 'proc', 'tmp', 'usr']));
    expect(value).not.toEqual(expect.arrayContaining(['root']));
  });

  it('writes only to its home and its temporary directory', async () => {
    for (const dir of ['/home/mcp', '/tmp']) {
      expect(await hostile.deed('write', { path: `${dir}/mine`, text: 'x' })).toEqual({});
    }
    for (const dir of ['/', '/etc', '/usr/bin', '/opt/mcp', '/dev', '/home', '/proc/sys/kernel']) {
      expect((await hostile.deed('write', { path: `${dir}/core_pattern`, text: 'x' })).error, dir).toMatch(
        /EROFS|EACCES|EPERM|ENOENT/,
      );
    }
  });

  it('reaches no network: no listener of this machine, no shim, no metadata address', async () => {
    for (const target of [
      { host: '127.0.0.1', port },
      { host: '127.0.0.1', port: victim.spec.port },
      { host: '169.254.169.254', port: 80 },
      { host: '192.0.2.1', port: 443 },
    ]) {
      expect((await hostile.deed('connect', target)).error, JSON.stringify(target)).toMatch(
        /ECONNREFUSED|ENETUNREACH|EHOSTUNREACH/,
      );
    }
  });

  it('squats no port: what it takes is taken in its own network only', async () => {
    const wanted = await freePort();
    expect(await hostile.deed('listen', { port: wanted })).toEqual({ value: 'listening' });
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen({ port: wanted, host: '127.0.0.1' }, resolve);
    });
    server.close();
  });

  it('has no privilege, no further user namespace, and no other identity', async () => {
    const status = (await hostile.deed('status')).value as string;
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) {
      expect(status).toMatch(new RegExp(`^${set}:\\s+0+$`, 'm'));
    }
    expect((await hostile.deed('identity')).value).toMatchObject({ uid: 1000, gid: 1000, host: 'mcp' });
  });

  it('may look into a further place where its type says so, and not write there', async () => {
    const open = await test.run({ type: { ...fixtureType, read_only_paths: ['/usr/bin', '/bin', '/lib'] } });
    expect((await open.deed('list', { path: '/usr/bin' })).value).toContain('env');
    expect((await open.deed('write', { path: '/usr/bin/evil', text: 'x' })).error).toMatch(/EROFS|EACCES/);
    // Programs it is shown are of no use for more rights.
    expect((await open.deed('unshare')).error).toMatch(/exit|ENOENT/);
    await test.driver.stop(open.handle, { reason: 'user', drainMs: 0, graceMs: 200 });
  });

  it('has the network of the machine where its type asks for it', async () => {
    const open = await test.run({ type: { ...fixtureType, egress: 'open' } });
    expect(await open.deed('connect', { host: '127.0.0.1', port })).toEqual({ value: 'connected' });
    expect((await open.deed('read', { path: '/etc/hosts' })).value).toBe(
      await readFile('/etc/hosts', 'utf8'),
    );
    await test.driver.stop(open.handle, { reason: 'user', drainMs: 0, graceMs: 200 });
  });
});

describe.runIf(reaches(isolation, 'L3'))('with an allow-list, a server', () => {
  let test: TestDriver;
  let instance: TestInstance;
  let listener: Server;
  let port: number;
  const heard: Buffer[] = [];

  beforeAll(async () => {
    test = await openTestDriver();
    port = await freePort();
    listener = createServer((socket) => {
      // Ends when it has heard something, and when it is clear that nothing comes.
      const end = (): void => void socket.end('hello');
      const timer = setTimeout(end, 500);
      socket.on('error', () => {}).once('close', () => clearTimeout(timer));
      socket.once('data', (data: Buffer) => {
        heard.push(data);
        end();
      });
    });
    await new Promise<void>((resolve) => listener.listen({ port, host: '127.0.0.2' }, resolve));
    const egress_hosts = [`127.0.0.2:${port}`, '*.example.invalid'];
    instance = await test.run({ type: { ...fixtureType, egress: 'allow-list', egress_hosts } });
  });
  afterAll(async () => {
    listener.close();
    await test.dispose();
  });

  it('reaches what the list names, also with fetch as it is', async () => {
    expect((await instance.deed('tunnel', { to: `127.0.0.2:${port}` })).value).toMatch(
      /^HTTP\/1\.1 200 .*hello$/s,
    );
    await instance.deed('fetch', { url: `https://127.0.0.2:${port}/` });
    expect(
      heard.some((data) => data[0] === 0x16),
      'the beginning of TLS',
    ).toBe(true);
  });

  it('reaches nothing else: no other port, no other name, no address, not by itself', async () => {
    for (const to of [
      `127.0.0.1:${port}`,
      'localhost:22',
      'example.com:443',
      '169.254.169.254:80',
      `[::1]:${port}`,
    ]) {
      expect((await instance.deed('tunnel', { to })).value, to).toMatch(/^HTTP\/1\.1 403/);
    }
    expect((await instance.deed('tunnel', { to: 'a.example.invalid:443' })).value, 'no such name').toMatch(
      / 502 /,
    );
    expect((await instance.deed('tunnel', { to: 'nonsense' })).value).toMatch(/ 400 /);
    expect((await instance.deed('connect', { host: '127.0.0.2', port })).error).toBe('ECONNREFUSED');
    expect((await instance.deed('connect', { host: '192.0.2.1', port: 443 })).error).toMatch(
      /ENETUNREACH|EHOSTUNREACH/,
    );
  });

  it('leaves a word in the log about what it was refused', async () => {
    const spool = join(bundleDir(test.dataDir, instance.handle), 'spool');
    await expect
      .poll(async () =>
        (await Promise.all((await readdir(spool)).map((name) => readFile(join(spool, name), 'utf8')))).join(
          '',
        ),
      )
      .toContain('169.254.169.254:80, which its type does not allow');
  });
});

describe.runIf(isRoot)('without a sandbox but with a user of its own, a hostile server', () => {
  let test: TestDriver;
  let hostile: TestInstance;
  let victim: TestInstance;

  beforeAll(async () => {
    test = await openTestDriver({ isolationMax: 'L1' });
    victim = await test.run({ apiKey: 'canary-victim', type: { ...fixtureType, key_variable: 'THE_KEY' } });
    hostile = await test.run();
  });
  afterAll(() => test.dispose());

  it('is not root, and reads, signals and enters nothing of a neighbour', async () => {
    const identity = (await hostile.deed('identity')).value as { uid: number; groups: number[] };
    expect(identity.uid).toBe(hostile.handle.uid);
    expect(identity.groups).toEqual([hostile.handle.uid]);
    const status = (await hostile.deed('status')).value as string;
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^CapBnd:\s+0+$/m);
    const { pid } = victim.handle;
    const home = homeDir(test.dataDir, victim.handle.instanceId);
    expect(await hostile.deed('read', { path: `/proc/${pid}/environ` })).toEqual({ error: 'EACCES' });
    expect(await hostile.deed('read', { path: `/proc/${pid}/mem` })).toEqual({ error: 'EACCES' });
    expect(await hostile.deed('signal', { pid, name: 'SIGKILL' })).toEqual({ error: 'EPERM' });
    expect(await hostile.deed('list', { path: home })).toEqual({ error: 'EACCES' });
    expect(await hostile.deed('list', { path: bundleDir(test.dataDir, victim.handle) })).toEqual({
      error: 'EACCES',
    });
    expect(await hostile.deed('list', { path: join(test.dataDir, 'instances') })).toEqual({
      error: 'EACCES',
    });
    expect((await hostile.deed('write', { path: join(test.dataDir, 'x'), text: '' })).error).toBe('EACCES');
  });

  it('cannot replace what is known of itself', async () => {
    const dir = bundleDir(test.dataDir, hostile.handle);
    expect(await hostile.deed('read', { path: join(dir, 'shim.json') })).toEqual({ error: 'EACCES' });
    expect((await hostile.deed('write', { path: join(dir, 'shim.json'), text: '{}' })).error).toBe('EACCES');
  });
});

describe('a port that is used again', () => {
  it('shows its next tenant nothing of the last', async () => {
    const test = await openTestDriver();
    const first = await test.run();
    for (const dir of ['HOME', 'TMPDIR']) {
      const env = (await first.deed('environment')).value as Record<string, string>;
      await first.deed('write', { path: `${env[dir]}/left`, text: 'secret' });
    }
    await first.deed('daemonise');
    await test.driver.stop(first.handle, { reason: 'expired', drainMs: 0, graceMs: 200 });
    const second = await test.run({ port: first.spec.port });
    const env = (await second.deed('environment')).value as { HOME: string; TMPDIR: string };
    expect((await second.deed('list', { path: env.HOME })).value).toEqual([]);
    expect((await second.deed('list', { path: env.TMPDIR })).value).toEqual([]);
    const old = homeDir(test.dataDir, first.handle.instanceId);
    expect((await second.deed('list', { path: old })).error).toMatch(/ENOENT|EACCES/);
    await test.dispose();
  });
});
