// Limits, each gone past for real: what is broken ends the instance and says which and how far; what only throttles
// leaves it at work. Neighbours do not notice.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readProcessTable, treeOf } from '../../src/runtime/process-table.ts';
import {
  fixtureType,
  limits,
  mebibyte,
  openTestDriver,
  type TestDriver,
  type TestInstance,
} from '../support/driver.ts';

const probe = await openTestDriver();
const { isolation } = await probe.driver.probe();
await probe.dispose();
const slow = 30_000;

let test: TestDriver;
let neighbour: TestInstance;

async function open(isolationMax: 'L1' | 'L4'): Promise<void> {
  test = await openTestDriver({ isolationMax });
  neighbour = await test.run();
}
async function close(): Promise<void> {
  expect(await test.driver.inspect(neighbour.handle)).toMatchObject({
    state: 'alive',
    shim: { restarts: 0 },
  });
  expect(await neighbour.deed('arguments')).toEqual({ value: [] });
  await test.dispose();
}

async function endingOf(instance: TestInstance): Promise<{ reason: string; word: string }> {
  await test.heard(instance.handle, 'ended');
  const found = await test.driver.inspect(instance.handle);
  if (found.state !== 'ended' || found.exit === null) throw new Error(`not ended: ${JSON.stringify(found)}`);
  return { reason: found.exit.reason, word: found.exit.lastLines[0] ?? '' };
}

describe('disk', () => {
  beforeEach(() => open('L4'));
  afterEach(close);

  it(
    'past the limit of the home ends the instance, and the figure is named',
    async () => {
      const small = { ...limits, diskBytesMax: 8 * mebibyte };
      const instance = await test.run({ limits: small });
      const { HOME } = (await instance.deed('environment')).value as { HOME: string };
      // Several files: one alone is cut off by the kernel at the limit.
      for (const name of ['a', 'b', 'c'])
        await instance.deed('fill', { path: `${HOME}/${name}`, mebibytes: 4 });
      expect(await endingOf(instance)).toEqual({
        reason: 'limit',
        word: expect.stringMatching(/^disk: .*8 MiB/),
      });
      // Said again by a supervisor that was not there.
      const next = await test.reopen(2);
      expect(await next.inspect(instance.handle)).toMatchObject({ exit: { reason: 'limit' } });
      expect(await next.stop(instance.handle, { reason: 'lost', drainMs: 0, graceMs: 0 })).toMatchObject({
        exit: { reason: 'limit' },
      });
      await next.adopt(neighbour.handle);
      Object.assign(test, { driver: next });
    },
    slow,
  );
});

describe('memory without a cgroup', () => {
  beforeEach(() => open('L1'));
  afterEach(close);

  it(
    'past the limit ends the instance, and the figure is named',
    async () => {
      const instance = await test.run({ limits: { ...limits, memoryBytesMax: 64 * mebibyte } });
      await instance.deed('hold', { mebibytes: 300 });
      expect(await endingOf(instance)).toEqual({
        reason: 'limit',
        word: expect.stringMatching(/^memory: \d+ MiB .*64 MiB/),
      });
    },
    slow,
  );
});

describe.runIf(isolation === 'L4')('in a cgroup', () => {
  beforeEach(() => open('L4'));
  afterEach(close);

  it(
    'memory past the limit is killed by the kernel, ends the instance and is named',
    async () => {
      const instance = await test.run({ limits: { ...limits, memoryBytesMax: 64 * mebibyte } });
      void instance.deed('hold', { mebibytes: 600 }).catch(() => {});
      expect(await endingOf(instance)).toEqual({
        reason: 'limit',
        word: expect.stringMatching(/^memory: .*64 MiB/),
      });
    },
    slow,
  );

  it(
    'a fork bomb comes to a stop, the rest goes on',
    async () => {
      const instance = await test.run({ limits: { ...limits, processesMax: 60 } });
      const { value } = await instance.deed('fork', { count: 40 });
      expect(value).toBeLessThan(40);
      expect(treeOf(readProcessTable(), instance.handle.pid).length).toBeLessThan(60);
      await test.driver.stop(instance.handle, { reason: 'user', drainMs: 0, graceMs: 200 });
    },
    slow,
  );

  it(
    'CPU is throttled to its share in the long run',
    async () => {
      const instance = await test.run({ limits: { ...limits, cpuPercentMax: 20 } });
      const startedMs = performance.now();
      // The first second may use what was saved up; this is five times what is due in one.
      await instance.deed('spin', { ms: 1_000 });
      await instance.deed('spin', { ms: 1_000 });
      expect(performance.now() - startedMs).toBeGreaterThan(2_000);
      await test.driver.stop(instance.handle, { reason: 'user', drainMs: 0, graceMs: 200 });
    },
    slow,
  );
});

describe('open files and the size of one file', () => {
  beforeEach(() => open('L4'));
  afterEach(close);

  it('are refused by the kernel past the limit', async () => {
    const instance = await test.run({ limits: { ...limits, openFilesMax: 256, diskBytesMax: 4 * mebibyte } });
    const text = (await instance.deed('read', { path: '/proc/self/limits' })).value as string;
    expect(text).toMatch(/^Max open files\s+256\s+256/m);
    expect(text).toMatch(/^Max core file size\s+0\s+0/m);
    expect(text).toMatch(/^Max file size\s+4194304\s+4194304/m);
    await test.driver.stop(instance.handle, { reason: 'user', drainMs: 0, graceMs: 200 });
  });
});

it(
  'a heap that grows past what it may have is told as the limit it is',
  async () => {
    const heap = await openTestDriver();
    const instance = await heap.run({
      limits: { ...limits, memoryBytesMax: 64 * mebibyte },
      type: { ...fixtureType, restart_policy: { tries: 0 } },
    });
    void instance.deed('grow').catch(() => {});
    await heap.heard(instance.handle, 'ended');
    expect(await heap.driver.inspect(instance.handle)).toMatchObject({
      exit: { reason: 'limit', lastLines: expect.arrayContaining([expect.stringMatching(/^memory: /)]) },
    });
    await heap.dispose();
  },
  slow,
);
