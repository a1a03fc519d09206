import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/base/clock.ts';
import { shimNodeFlags } from '../../src/runtime/shim-bundle.ts';
import type { ExitRecord } from '../../src/shim/contract.ts';
import { openSession, textOf } from '../support/shim-calls.ts';
import { type RunningShim, type ShimOptions, startShim, until } from '../support/shim-harness.ts';

const fixture = join(import.meta.dirname, '../fixtures/mcp-child.ts');
const started: RunningShim[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((shim) => shim.dispose()));
});

async function start(options: Partial<ShimOptions> & { args?: string[] } = {}): Promise<RunningShim> {
  const { args = [], child, ...rest } = options;
  const shim = await startShim({ child: { args: [fixture, ...args], ...child }, ...rest });
  started.push(shim);
  return shim;
}

const lease = (remainingMs: number) => ({ remainingMs, expiresAt: '2099-01-01T00:00:00.000Z' });

describe('the life of a shim', () => {
  it('serves, and ends in a moment when it is asked to', async () => {
    const shim = await start();
    const call = await openSession(shim);
    expect(textOf(await call('echo', { text: 'hello' }))).toBe('hello');
    const state = await shim.state();
    expect(state).toMatchObject({ phase: 'running', restarts: 0, sessions: 1, inFlight: 0, pid: shim.pid });
    expect(state.server).toEqual({ name: 'fixture', version: '1.2.3', protocolVersion: '2025-11-25' });

    const startedMs = monotonicMs();
    const record = await shim.stop('user', { drainMs: 10_000, graceMs: 10_000 });
    expect(monotonicMs() - startedMs).toBeLessThan(4_000);
    expect(record).toMatchObject({
      instanceId: shim.spec.instanceId,
      generation: 1,
      reason: 'user',
      exitCode: 0,
      signal: null,
      lastLines: ['fixture starting'],
      restarts: 0,
      wasReady: true,
    });
    expect(await shim.exited).toEqual({ code: 0, signal: null });
    expect(shim.processes()).toEqual([]);
    expect(existsSync(join(shim.bundleDir, 'control.sock'))).toBe(false);
    expect(readFileSync(join(shim.bundleDir, 'shim.stderr'), 'utf8')).toBe('');
    expect(shim.news.map((news) => news.news === 'state' && news.state.phase)).toContain('stopping');
  });

  it('keeps what it was told to itself', async () => {
    const secret = 'ghp_a-Secret/Value+0123456789';
    const shim = await start({
      child: { args: [fixture], env: { FIXTURE_KEY: secret } },
      spec: { secrets: [secret] },
    });
    const call = await openSession(shim);
    expect(textOf(await call('env'))).toContain(secret);
    expect(textOf(await call('env'))).not.toContain(shim.token);
    for (const name of ['cmdline', 'environ']) {
      expect(readFileSync(`/proc/${shim.pid}/${name}`, 'latin1')).not.toContain(secret);
    }
    for (const name of ['control.sock', 'spool']) {
      expect(statSync(join(shim.bundleDir, name)).mode & 0o077, name).toBe(0);
    }
    expect((await shim.stop()).reason).toBe('user');
    expect(statSync(join(shim.bundleDir, 'exit.json')).mode & 0o077).toBe(0);
  });

  it('ends at its own deadline, and answers 410 until then', async () => {
    const shim = await start({ spec: { drainMs: 10_000 } });
    const call = await openSession(shim);
    const inFlight = call('sleep', { ms: 1_500 });
    await until(async () => ((await shim.state()).inFlight === 1 ? true : undefined), 'the call');
    const control = await shim.control();
    await control.request({ method: 'deadline', lease: lease(200) });
    await until(async () => ((await shim.state()).phase === 'stopping' ? true : undefined), 'the deadline');
    expect((await fetch(shim.url, { headers: { authorization: `Bearer ${shim.token}` } })).status).toBe(410);
    expect(textOf(await inFlight)).toBe('slept');
    expect((await shim.exit).reason).toBe('expired');
  });

  it('moves its deadline both ways', async () => {
    const shim = await start({ spec: { lease: lease(4_000) } });
    const control = await shim.control();
    await control.request({ method: 'deadline', lease: lease(600_000) });
    await new Promise((resolve) => setTimeout(resolve, 4_100));
    expect((await shim.state()).phase).toBe('running');
    await control.request({ method: 'deadline', lease: lease(0) });
    expect((await shim.exit).reason).toBe('expired');
  });

  it('outlives its parent, serves, and still ends at its deadline', async () => {
    const parent = spawn(
      process.execPath,
      [join(import.meta.dirname, '../fixtures/mcp-shim-parent.ts'), fixture, '6000'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const line = await new Promise<string>((resolve) =>
      parent.stdout.setEncoding('utf8').once('data', resolve),
    );
    const shim = JSON.parse(line) as Pick<RunningShim, 'url' | 'token' | 'pid' | 'bundleDir'>;
    try {
      parent.kill('SIGKILL');
      await new Promise((resolve) => parent.once('exit', resolve));
      const call = await openSession(shim);
      expect(textOf(await call('echo', { text: 'alone' }))).toBe('alone');
      const record = await until(() => {
        const path = join(shim.bundleDir, 'exit.json');
        return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as ExitRecord) : undefined;
      }, 'the record of the end');
      expect(record.reason).toBe('expired');
      await until(() => (existsSync(`/proc/${shim.pid}/exe`) ? undefined : true), 'the end of the shim');
    } finally {
      rmSync(shim.bundleDir, { recursive: true, force: true });
    }
  });

  it('takes SIGTERM for a wish of its user', async () => {
    const shim = await start();
    shim.process.kill('SIGTERM');
    expect((await shim.exit).reason).toBe('user');
  });

  it('lets a call in flight finish, but no longer than it was told', async () => {
    const shim = await start();
    const call = await openSession(shim);
    const short = call('sleep', { ms: 300 });
    const long = call('sleep', { ms: 60_000 });
    await until(async () => ((await shim.state()).inFlight === 2 ? true : undefined), 'both calls');
    const startedMs = monotonicMs();
    const record = await shim.stop('user', { drainMs: 2_000, graceMs: 1_000 });
    expect(monotonicMs() - startedMs).toBeGreaterThan(1_900);
    expect(monotonicMs() - startedMs).toBeLessThan(2_000 + 1_000 + 2_000);
    expect(textOf(await short)).toBe('slept');
    expect((await long.catch((error: unknown) => ({ error }))).error).toBeDefined();
    expect(record.reason).toBe('user');
  });

  it('ends sooner when it is asked again with less time', async () => {
    const shim = await start();
    const call = await openSession(shim);
    const long = call('sleep', { ms: 60_000 }).catch(() => {});
    await until(async () => ((await shim.state()).inFlight === 1 ? true : undefined), 'the call');
    const control = await shim.control();
    await control.request({ method: 'stop', reason: 'idle', drainMs: 60_000, graceMs: 1_000 });
    await control.request({ method: 'stop', reason: 'user', drainMs: 0, graceMs: 1_000 });
    expect((await shim.exit).reason).toBe('idle');
    await long;
  });
});

describe('the end of the child', () => {
  it('is asked for before it is made', async () => {
    const shim = await start({ args: ['--ignore-end'] });
    expect(await shim.stop('user', { drainMs: 0, graceMs: 3_000 })).toMatchObject({
      exitCode: null,
      signal: 'SIGTERM',
    });
  });

  it('is made when nothing else helps, within its time', async () => {
    const shim = await start({ args: ['--ignore-end', '--ignore-term'] });
    const startedMs = monotonicMs();
    const record = await shim.stop('user', { drainMs: 500, graceMs: 2_000 });
    expect(monotonicMs() - startedMs).toBeLessThan(500 + 2_000 + 2_000);
    expect(record).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
    expect(record.lastLines).toContain('ignoring SIGTERM');
    expect(shim.processes()).toEqual([]);
  });

  it('takes what the child has started with it', async () => {
    const shim = await start();
    const call = await openSession(shim);
    const pid = Number(textOf(await call('grandchild')));
    expect(shim.processes()).toContain(pid);
    await shim.stop();
    expect(shim.processes()).toEqual([]);
  });

  it('keeps the last words of a child that talks while it leaves', async () => {
    const shim = await start({ args: ['--chatty-end'] });
    const { lastLines } = await shim.stop();
    expect(lastLines).toEqual(Array.from({ length: 20 }, (_, i) => `closing resource ${480 + i}`));
    const words = shim.log().filter((line) => line.msg.startsWith('closing resource'));
    expect(words).toHaveLength(500);
  });

  it('follows a shim that was killed', async () => {
    const shim = await start();
    shim.kill9();
    await shim.exited;
    await until(() => shim.processes().length === 0 || undefined, 'the end of the child');
    await expect(shim.exit).rejects.toThrow();
  });

  it.skipIf(!existsSync('/usr/bin/bwrap'))('asks the server inside a sandbox, not the sandbox', async () => {
    const wrapped = ['--dev-bind', '/', '/', '--unshare-pid', '--die-with-parent', process.execPath, fixture];
    const shim = await start({
      child: { command: '/usr/bin/bwrap', args: [...wrapped, '--ignore-end', '--ignore-term'] },
    });
    const record = await shim.stop('user', { drainMs: 0, graceMs: 2_000 });
    expect(record.lastLines).toContain('ignoring SIGTERM');
    expect(shim.processes()).toEqual([]);
  });
});

describe('a failure of the shim itself', () => {
  it('ends the child too, and is told without secrets', async () => {
    const thrower = join(import.meta.dirname, '../fixtures/throw-on-signal.cjs');
    const shim = await start({
      args: ['--ignore-end'],
      nodeFlags: ['--require', thrower],
      spec: { secrets: ['s3cr3t-0123456789'] },
    });
    shim.process.kill('SIGUSR2');
    expect(await shim.exited).toEqual({ code: 1, signal: null });
    const record = await shim.exit;
    expect(record).toMatchObject({ reason: 'crashed', wasReady: true });
    expect(record.lastLines.at(-1)).toBe('The shim failed: told to fail, knowing [redacted]');
    const crashed = readFileSync(join(shim.bundleDir, 'shim.stderr'), 'utf8');
    expect(crashed).toContain('Error: told to fail, knowing [redacted]\n    at ');
    await until(() => shim.processes().length === 0 || undefined, 'the end of the child');
  });

  it('to be told something sensible ends it before it starts anything', async () => {
    const shim = await start();
    const file = join(shim.bundleDir, 'shim.cjs');
    const told = (text: string) =>
      spawnSync(process.execPath, [...shimNodeFlags, file], {
        input: text,
        encoding: 'utf8',
        timeout: 10_000,
      });
    for (const [text, word] of [
      ['', 'not JSON'],
      ['{"secrets":["s3cr3t-012', 'not JSON'],
      ['{"contract":99,"secrets":["s3cr3t-0123456789"]}', 'contract 99 is not spoken here'],
      ['{"contract":1,"bundleDir":"/nonexistent/dir"}', 'ENOENT'],
    ] as const) {
      const { status, stderr } = told(text);
      expect(status, text).toBe(2);
      expect(stderr).toContain(word);
      expect(stderr).not.toContain('s3cr3t');
    }
  });
});
