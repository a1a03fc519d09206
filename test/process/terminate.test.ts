// Ending always ends: whatever a server does not to leave, nothing of it lives after stop, and nothing else is touched.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/base/clock.ts';
import { groupMembers } from '../../src/runtime/cgroups.ts';
import type { Handle } from '../../src/runtime/driver.ts';
import { identify, isSame } from '../../src/runtime/process-identity.ts';
import {
  type ProcessTable,
  processesMarked,
  processesOfUid,
  readProcessTable,
  treeOf,
} from '../../src/runtime/process-table.ts';
import { readRecord } from '../../src/runtime/state-files.ts';
import { terminate } from '../../src/runtime/terminate.ts';
import { fixtureType, openTestDriver, type TestDriver, type TestInstance } from '../support/driver.ts';

const stubborn = { ...fixtureType, arguments: ['--ignore-sigterm', '--daemonise'] };
const graceMs = 500;
const times = { reason: 'user', drainMs: 0, graceMs } as const;

/** Everything of an instance that can be found by any means, also what has left its tree. */
function everythingOf(table: ProcessTable, handle: Handle): number[] {
  const own = process.getuid?.() === handle.uid ? [] : processesOfUid(handle.uid);
  const marked = processesMarked(table, `MCP_INSTANCE_ID=${handle.instanceId}`);
  return [...new Set([...own, ...marked, ...treeOf(table, handle.pid)].map(({ pid }) => pid))];
}

describe.each(['L0', 'L2', 'L4'] as const)(
  'at %s, a server that ignores SIGTERM and has daemonised',
  (isolationMax) => {
    let test: TestDriver;
    let instance: TestInstance;
    let neighbour: TestInstance;

    beforeEach(async () => {
      test = await openTestDriver({ isolationMax });
      neighbour = await test.run();
      instance = await test.run({ type: stubborn });
      await daemonOf(instance.handle);
    });
    afterEach(async () => {
      expect(await test.driver.inspect(neighbour.handle), 'the neighbour').toMatchObject({
        state: 'alive',
        shim: { phase: 'running', restarts: 0 },
      });
      await test.dispose();
    });

    /** Waits until the grandchild has come loose from its parents. */
    async function daemonOf(handle: Handle): Promise<void> {
      await expect
        .poll(() => everythingOf(readProcessTable(), handle).length, { timeout: 10_000 })
        .toBeGreaterThan(2);
    }

    it('is gone within grace and two seconds of a stop', async () => {
      const startedMs = monotonicMs();
      const ended = await test.driver.stop(instance.handle, times);
      expect(monotonicMs() - startedMs).toBeLessThan(graceMs + 2_000);
      expect(ended).toMatchObject({ processes: 0, exit: { reason: 'user' } });
      expect(everythingOf(readProcessTable(), instance.handle)).toEqual([]);
      expect(await test.driver.stop(instance.handle, times), 'again').toMatchObject({ processes: 0 });
    });

    it('is gone when its shim was killed, once the supervisor has seen to it', async () => {
      process.kill(instance.handle.pid, 'SIGKILL');
      await test.heard(instance.handle, 'ended');
      expect(await test.driver.stop(instance.handle, times)).toEqual({ exit: null, processes: 0 });
      expect(everythingOf(readProcessTable(), instance.handle)).toEqual([]);
    });

    it('is gone when its shim was stopped by a signal and answers nobody', async () => {
      process.kill(instance.handle.pid, 'SIGSTOP');
      const startedMs = monotonicMs();
      expect(await test.driver.stop(instance.handle, times)).toEqual({ exit: null, processes: 0 });
      expect(monotonicMs() - startedMs).toBeLessThan(graceMs + 4_000);
      expect(everythingOf(readProcessTable(), instance.handle)).toEqual([]);
    });

    it('is gone when it all began with a supervisor that is no more', async () => {
      const next = await test.reopen(2);
      const [handle] = (await next.list()).filter(
        ({ instanceId }) => instanceId === instance.handle.instanceId,
      );
      expect(await next.stop(handle as Handle, times)).toMatchObject({ processes: 0 });
      expect(everythingOf(readProcessTable(), instance.handle)).toEqual([]);
      expect((await next.adopt(neighbour.handle)).state).toBe('alive');
      // The first driver of this test is fenced from here on; the neighbour is looked at through it no more.
      await test.driver.close();
      Object.assign(test, { driver: next });
    });
  },
);

it('counts a zombie as dead, though it answers a signal', async () => {
  // The shell becomes a program that never asks what became of the shell's child.
  const parent = spawn('/bin/sh', ['-c', 'read go <&3 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  try {
    if (parent.stdout === null) throw new Error('it was asked for a pipe');
    const [line] = await once(parent.stdout, 'data');
    const identity = identify(Number(line));
    if (identity === undefined) throw new Error('the child is not there');
    expect(isSame(identity)).toBe(true);
    // As long as it is a shell, it does ask.
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n');
    (parent.stdio[3] as Writable).end('go\n');
    await expect.poll(() => isSame(identity)).toBe(false);
    expect(process.kill(identity.pid, 0)).toBe(true);
    expect(readFileSync(`/proc/${identity.pid}/stat`, 'utf8')).toContain(') Z ');
    expect(readProcessTable().has(identity.pid)).toBe(false);
    const target = { identity, instanceId: randomUUID(), ownsUid: false, cgroups: [], spare: [] };
    const ask = (): Promise<never> => Promise.reject(new Error('it is no shim'));
    await terminate(target, { drainMs: 60_000, graceMs: 60_000, ask, mayKill: () => true });
  } finally {
    parent.kill('SIGKILL');
  }
});

it('never signals a process that only has the pid', async () => {
  const test = await openTestDriver();
  const instance = await test.run();
  const imposter: Handle = { ...instance.handle, startTicks: instance.handle.startTicks - 1, uid: 4_000_000 };
  expect(isSame(imposter)).toBe(false);
  expect(
    await test.driver.stop({ ...imposter, instanceId: '00000000-0000-4000-8000-00000000000a' }, times),
  ).toEqual({
    exit: null,
    processes: 0,
  });
  expect(await test.driver.inspect(instance.handle)).toMatchObject({ state: 'alive' });
  await test.dispose();
});

it('does not kill the next tenant of a user when an older generation is ended late', async () => {
  const test = await openTestDriver();
  const first = await test.run();
  await test.driver.stop(first.handle, times);
  const second = await test.run({ port: first.spec.port });
  expect(second.handle.uid).toBe(first.handle.uid);
  expect(await test.driver.stop(first.handle, times)).toMatchObject({ processes: 0 });
  expect(await test.driver.inspect(second.handle)).toMatchObject({ state: 'alive', shim: { restarts: 0 } });
  await test.dispose();
});

it('removes the cgroup with the last process', async () => {
  const test = await openTestDriver();
  const instance = await test.run();
  const { cgroups } = (await readRecord(test.dataDir, instance.handle)) ?? { cgroups: [] };
  if (cgroups.length > 0) expect(groupMembers(cgroups)).toContain(instance.handle.pid);
  await test.driver.stop(instance.handle, times);
  expect(groupMembers(cgroups)).toEqual([]);
  const { existsSync } = await import('node:fs');
  expect(cgroups.filter((dir) => existsSync(dir))).toEqual([]);
  await test.dispose();
});
