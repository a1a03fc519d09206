import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/base/clock.ts';
import { defaultRestartPolicy } from '../../src/domain/restart.ts';
import { openSession, textOf } from '../support/shim-calls.ts';
import { freePort, type RunningShim, type ShimOptions, startShim, until } from '../support/shim-harness.ts';

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

const runningAgain = (shim: RunningShim, restarts: number) =>
  until(async () => {
    const state = await shim.state();
    return state.phase === 'running' && state.restarts === restarts ? state : undefined;
  }, `restart ${restarts}`);
/** Whether the child has no standard input any more. */
async function deaf(shim: RunningShim): Promise<true | undefined> {
  const { childPid } = await shim.state();
  return existsSync(`/proc/${childPid}/fd/0`) ? undefined : true;
}

/** Ends the child through the session it serves; the answer is an error. */
async function crash(shim: RunningShim, tool = 'exit'): Promise<void> {
  const call = await openSession(shim);
  expect((await call(tool)).error, 'the call in flight is answered').toBeDefined();
}

describe('a child that never was ready', () => {
  it('is not started again, and its last words are told', async () => {
    const shim = await start({ args: ['--exit=3'], ready: false });
    expect(await shim.exit).toMatchObject({
      reason: 'start_failed',
      exitCode: 3,
      restarts: 0,
      wasReady: false,
      lastLines: [
        'fixture starting',
        'Error: FIXTURE_KEY is not set',
        'The server exited with code 3 before it was ready',
      ],
    });
    expect(await shim.exited).toEqual({ code: 0, signal: null });
  });

  it('may be a command that is not there', async () => {
    const shim = await start({ child: { command: '/nonexistent/server', args: [] }, ready: false });
    const { reason, lastLines } = await shim.exit;
    expect(reason).toBe('start_failed');
    expect(lastLines.at(-1)).toMatch(/^\/nonexistent\/server cannot be started in .* \(ENOENT\)/);
  });

  it('may be silent: it gets its time and no more', async () => {
    const startedMs = monotonicMs();
    const shim = await start({ child: { args: [fixture, '--mute'], startTimeoutMs: 2_000 }, ready: false });
    const { reason, lastLines } = await shim.exit;
    expect(monotonicMs() - startedMs).toBeLessThan(2_000 + 3_000);
    expect(reason).toBe('start_timeout');
    expect(lastLines).toEqual(['fixture starting', 'The server did not answer within 2000 ms']);
  });

  it('may refuse', async () => {
    const shim = await start({ args: ['--refuse'], ready: false });
    const { reason, lastLines } = await shim.exit;
    expect(reason).toBe('start_failed');
    expect(lastLines.at(-1)).toContain('no licence');
  });

  it('is not left behind when the port is somebody else’s', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    try {
      const shim = await start({ spec: { listen: { host: '127.0.0.1', port } }, ready: false });
      const { reason, lastLines } = await shim.exit;
      expect(reason).toBe('start_failed');
      expect(lastLines.at(-1)).toContain(`Port ${port} of 127.0.0.1`);
      expect(lastLines.at(-1)).toContain('EADDRINUSE');
      expect(shim.processes()).toEqual([]);
    } finally {
      other.close();
    }
  });
});

describe('a child that crashes', () => {
  it('is started again at once, and served again', async () => {
    const shim = await start();
    const before = await shim.state();
    await crash(shim);
    const after = await runningAgain(shim, 1);
    expect(after.childPid).not.toBe(before.childPid);
    const call = await openSession(shim);
    expect(textOf(await call('echo', { text: 'back' }))).toBe('back');
    const phases = shim.news.flatMap((news) => (news.news === 'state' ? [news.state.phase] : []));
    expect(phases).toEqual(expect.arrayContaining(['running', 'restarting']));
    expect(phases.at(-1)).toBe('running');
    await shim.logged((line) => line.msg === 'The server exited with code 1; it is started again at once');
    expect(await shim.stop()).toMatchObject({ reason: 'user', restarts: 1, wasReady: true });
  });

  it('and cannot come back is given up after as many tries as its policy has', async () => {
    const crashIf = join(import.meta.dirname, `.crash-${process.pid}-${Math.random()}`);
    const restart = { triesMax: 3, backoffMs: 40, backoffMsMax: 60, resetAfterMs: 60_000 };
    const shim = await start({ args: [`--crash-if=${crashIf}`], spec: { restart } });
    try {
      writeFileSync(crashIf, '');
      await crash(shim, 'abort');
      const record = await shim.exit;
      expect(record).toMatchObject({ reason: 'crash_loop', exitCode: 9, restarts: 3, wasReady: true });
      expect(record.lastLines).toContain('Error: told to crash');
      const words = shim.log().filter((line) => line.msg.includes('started again'));
      expect(words.map((line) => line.msg.replace(/^.*it is started again /, ''))).toEqual([
        'at once',
        'in 40 ms',
        'in 60 ms',
      ]);
      expect(words[0]?.msg).toContain('killed by SIGKILL');
    } finally {
      rmSync(crashIf, { force: true });
    }
  });

  it('is given up at once when its policy allows no restart', async () => {
    const shim = await start({ spec: { restart: { ...defaultRestartPolicy, triesMax: 0 } } });
    await crash(shim);
    expect(await shim.exit).toMatchObject({ reason: 'crashed', exitCode: 1, restarts: 0 });
  });

  it('gets its tries back after it has run long enough', async () => {
    const shim = await start({
      spec: { restart: { ...defaultRestartPolicy, triesMax: 1, resetAfterMs: 1 } },
    });
    for (let restarts = 1; restarts <= 3; restarts++) {
      await crash(shim);
      await runningAgain(shim, restarts);
    }
    expect((await shim.stop()).restarts).toBe(3);
  });

  for (const tool of ['closeStdout', 'closeStdin']) {
    it(`may be one that lives on and can no longer be talked to (${tool})`, async () => {
      const shim = await start();
      const call = await openSession(shim);
      void call(tool).catch(() => {});
      if (tool === 'closeStdin') await until(() => deaf(shim), 'the child to close it');
      void call('echo', { text: 'anyone?' }).catch(() => {});
      await runningAgain(shim, 1);
      await shim.logged((line) => line.msg.includes('and went on running; it is ended'));
    });
  }

  it('leaves nothing of its group behind', async () => {
    const shim = await start();
    const call = await openSession(shim);
    const pid = Number(textOf(await call('grandchild')));
    expect(shim.processes()).toContain(pid);
    await crash(shim);
    await runningAgain(shim, 1);
    expect(shim.processes()).not.toContain(pid);
  });

  it('can be stopped while it waits for its next start', async () => {
    const crashIf = join(import.meta.dirname, `.crash-${process.pid}-${Math.random()}`);
    const restart = { ...defaultRestartPolicy, backoffMs: 30_000 };
    const shim = await start({ args: [`--crash-if=${crashIf}`], spec: { restart } });
    try {
      writeFileSync(crashIf, '');
      await crash(shim);
      await shim.logged((line) => line.msg.includes('started again in 30000 ms'));
      expect(await shim.stop()).toMatchObject({ reason: 'user', exitCode: 9 });
    } finally {
      rmSync(crashIf, { force: true });
    }
  });
});

describe('a child that speaks HTTP', () => {
  it('has failed to start when its port stays silent, and may log to its standard output', async () => {
    const [httpPort, other] = [await freePort(), await freePort()];
    const shim = await start({
      child: {
        args: [fixture],
        transport: 'streamable-http',
        httpPort,
        startTimeoutMs: 4_000,
        env: { PORT: String(other) },
      },
      ready: false,
    });
    expect((await shim.exit).reason).toBe('start_timeout');
    const lines = shim.log().filter((line) => line.source === 'process');
    expect(lines.map((line) => line.msg)).toContain(`listening on ${other}`);
  });
});
