// The driver's pure parts: who a process is, trees, users, the ladder, what is believed of what others wrote.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createGroup } from '../../src/runtime/cgroups.ts';
import { capIsolation, explainLadder, type Isolation, levelOf, reaches } from '../../src/runtime/ladder.ts';
import { bundleRecordSchema, readMessage } from '../../src/runtime/messages.ts';
import {
  findSame,
  identify,
  isSame,
  parseStat,
  readProcess,
  signalProven,
} from '../../src/runtime/process-identity.ts';
import { type ProcessTable, readProcessTable, treeOf, treesOf } from '../../src/runtime/process-table.ts';
import { chooseUidRange, uidForPort } from '../../src/runtime/uids.ts';

describe('a process', () => {
  it('is read past a name that tries to look like fields', () => {
    const line = '4711 (a) Z 1 (b c) S 12 4711 4711 0 -1 4194304 1 0 0 0 7 3 0 0 20 0 1 0 998877 1 2 3';
    expect(parseStat(line)).toEqual({ pid: 4711, ppid: 12, state: 'S', startTicks: 998877 });
  });

  it('is none that the kernel runs for itself', () => {
    expect(parseStat('2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 3 0 0 20 0 1 0 3 0 0')).toBeUndefined();
  });

  it.each(['Z', 'X', 'x'])('in state %s is dead', (state) => {
    expect(parseStat(`1 (n) ${state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1`)).toBeUndefined();
  });

  it('is the same only with its start, boot and user', () => {
    const me = identify(process.pid);
    if (me === undefined) throw new Error('this process lives');
    expect(isSame(me)).toBe(true);
    expect(findSame(me)?.ppid).toBe(process.ppid);
    for (const other of [
      { ...me, startTicks: me.startTicks + 1 },
      { ...me, bootId: 'another' },
      { ...me, uid: me.uid + 1 },
      { ...me, pid: 1 },
    ]) {
      expect(isSame(other)).toBe(false);
      expect(signalProven(other, 'SIGKILL')).toBe(false);
    }
  });

  it('that ended is nobody, also while its parent has not asked after it', async () => {
    const child = spawn('/bin/sh', ['-c', 'sleep 0.01 & exec sleep 60'], { stdio: 'ignore' });
    const identity = identify(child.pid ?? 0);
    if (identity === undefined) throw new Error('it was just started');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    expect(signalProven(identity, 'SIGKILL')).toBe(true);
    await ended;
    expect(isSame(identity)).toBe(false);
    expect(readProcess(identity.pid)).toBeUndefined();
    expect(signalProven(identity, 'SIGKILL')).toBe(false);
  });
});

describe('a tree', () => {
  const facts = (pid: number, ppid: number) => [pid, { pid, ppid, state: 'S', startTicks: pid }] as const;
  const table: ProcessTable = new Map([
    facts(1, 0),
    facts(10, 1),
    facts(11, 10),
    facts(12, 11),
    facts(20, 1),
  ]);

  it('is a process and all below it, whatever the order', () => {
    expect(treeOf(table, 10).map(({ pid }) => pid)).toEqual([10, 11, 12]);
    expect(treeOf(table, 99)).toEqual([]);
    const trees = treesOf(table, [10, 20, 99]);
    expect([...trees].map(([root, found]) => [root, found.length])).toEqual([
      [10, 3],
      [20, 1],
      [99, 0],
    ]);
  });

  it('of this machine holds this process under its parent', () => {
    expect(treeOf(readProcessTable(), process.ppid).map(({ pid }) => pid)).toContain(process.pid);
  });
});

describe('users of instances', () => {
  it('come from past all ranges in use where there is room, else from what a container maps', () => {
    const whole = chooseUidRange('         0          0 4294967295', '/data');
    expect(whole?.base).toBeGreaterThanOrEqual(1_900_000_000);
    expect((whole?.base ?? 0) + (whole?.span ?? 0)).toBeLessThan(2 ** 31);
    expect(chooseUidRange('0 0 4294967295', '/other')?.base, 'another supervisor').not.toBe(whole?.base);
    expect(chooseUidRange('         0     100000      65536', '/data')).toEqual({
      base: 20_000,
      span: 40_000,
    });
    expect(chooseUidRange('         0       1000          1', '/data')).toBeUndefined();
    expect(chooseUidRange('0 0 1000\n1000 5000 100000', '/data', 30_000)).toEqual({
      base: 30_000,
      span: 65_536,
    });
  });

  it('are one per port', () => {
    const range = { base: 1_900_000_000, span: 65_536 };
    const uids = new Set(Array.from({ length: 65_536 }, (_value, port) => uidForPort(range, port)));
    expect(uids.size).toBe(65_536);
  });
});

describe('the ladder', () => {
  const ladder = (...missing: readonly string[]) =>
    (['L0', 'L1', 'L2', 'L3', 'L4'] as const).map((level) => ({
      level,
      missing: missing.includes(level) ? 'not here' : null,
    }));

  it.each([
    [[], 'L4'],
    [['L4'], 'L3'],
    [['L3', 'L4'], 'L2'],
    [['L3'], 'L2'],
    [['L2', 'L3'], 'L1'],
    [['L1'], 'L4'],
    [['L1', 'L2', 'L3', 'L4'], 'L0'],
  ])('without %j reaches %s', (missing, level) => {
    expect(levelOf(ladder(...missing))).toBe(level);
  });

  it('explains each rung', () => {
    expect(explainLadder(ladder('L2')).map(({ ok }) => ok)).toEqual([true, true, false, true, true]);
    expect(explainLadder(ladder('L2'))[2]).toMatchObject({ missing: 'not here' });
  });

  it('compares levels', () => {
    expect(reaches('L3', 'L2')).toBe(true);
    expect(reaches('L1', 'L2')).toBe(false);
    expect(reaches('L2', 'L2')).toBe(true);
  });

  it('can be held lower, and says so', () => {
    const found: Isolation = {
      level: 'L4',
      ladder: ladder(),
      uids: { base: 1, span: 1 },
      setpriv: '/s',
      prlimit: '/p',
      sandbox: { bwrap: '/b', disableUserns: true },
      netNamespace: true,
      cgroups: { version: 2, memory: '/m', pids: '/m', cpu: '/m' },
      openFilesMax: 1_024,
    };
    expect(capIsolation(found, 'L4')).toBe(found);
    const held = capIsolation(found, 'L1');
    expect(held).toMatchObject({
      level: 'L1',
      sandbox: null,
      netNamespace: false,
      cgroups: null,
      uids: found.uids,
    });
    expect(held.ladder[3]?.missing).toContain('L1');
    expect(capIsolation(found, 'L2')).toMatchObject({
      level: 'L2',
      sandbox: found.sandbox,
      netNamespace: false,
    });
  });
});

describe('what a shim says', () => {
  const state = {
    contract: 1,
    instanceId: '0192f0c1-7c6e-7b7a-8f2b-000000000001',
    generation: 1,
    pid: 5,
    phase: 'running',
    childPid: null,
    restarts: 0,
    server: null,
    sessions: 0,
    inFlight: 0,
    requests: 0,
    idleMs: null,
    rssBytes: 1,
  };

  it('is taken when it fits, with fields of a newer version left out', () => {
    expect(readMessage(JSON.stringify({ id: 1, state: { ...state, newer: true } }))).toEqual({
      id: 1,
      state,
    });
    expect(readMessage(JSON.stringify({ news: 'spooled', more: 1 }))).toEqual({ news: 'spooled' });
    expect(readMessage(JSON.stringify({ id: 1, error: { code: 'fenced', message: 'm' } }))).toMatchObject({
      id: 1,
    });
  });

  it.each([
    'nonsense',
    '[]',
    'null',
    '{"id":1}',
    JSON.stringify({ id: 1, state: { ...state, phase: 'other' } }),
    JSON.stringify({ id: 1, state: { ...state, restarts: -1 } }),
    JSON.stringify({ news: 'state', state: { ...state, instanceId: 'x' } }),
    JSON.stringify({ news: 'other' }),
  ])('is dropped when it does not: %s', (line) => {
    expect(readMessage(line)).toBeUndefined();
  });

  it('about its process cannot name the first one, nor none', () => {
    const limits = { memoryBytesMax: 1, cpuPercentMax: 1, processesMax: 1, openFilesMax: 1, diskBytesMax: 1 };
    const record = {
      ...state,
      pid: 7,
      startTicks: 1,
      bootId: 'b',
      uid: 1,
      port: 3001,
      isolation: 'L0',
      limits,
    };
    expect(bundleRecordSchema.safeParse(record).success).toBe(true);
    for (const pid of [1, 0, -1, 1.5]) {
      expect(bundleRecordSchema.safeParse({ ...record, pid }).success, String(pid)).toBe(false);
    }
  });
});

describe('a cgroup of version 2', () => {
  it('is given every limit, with room for the shim on top', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'minimcp-cgroup-'));
    const limits = {
      ...{ memoryBytesMax: 512 * 2 ** 20, cpuPercentMax: 50, processesMax: 64 },
      ...{ openFilesMax: 1, diskBytesMax: 1 },
    };
    const [group = ''] = createGroup({ version: 2, memory: dir, pids: dir, cpu: dir }, 'g', limits);
    const said = async (file: string) => readFile(join(group, file), 'utf8');
    expect(group).toBe(join(dir, 'g'));
    expect(await said('memory.max')).toBe(String(608 * 2 ** 20));
    expect(await said('pids.max')).toBe('96');
    expect(await said('cpu.max')).toBe('500000 1000000');
    await rm(dir, { recursive: true });
  });
});
