import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SpoolLine } from '../../src/shim/contract.ts';
import { openSpool, type SpoolOptions } from '../../src/shim/spool.ts';
import { createSpoolBudget } from '../../src/shim/spool-budget.ts';
import { until } from '../support/shim-harness.ts';

/** Whether a small disk of our own is to be had. */
const canMount = ((): boolean => {
  const place = mkdtempSync(join(tmpdir(), 'minimcp-mount-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place]);
  if (status === 0) spawnSync('umount', [place]);
  rmSync(place, { recursive: true, force: true });
  return status === 0;
})();

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'minimcp-spool-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (options: Partial<SpoolOptions> = {}) =>
  openSpool({
    directory,
    spoolBytesMax: 1_000_000,
    segmentBytes: 10_000,
    budget: { bytesPerDay: Number.POSITIVE_INFINITY, usedBytes: 0 },
    onWritten: () => {},
    ...options,
  });
const segments = (): string[] => readdirSync(directory).sort();
function lines(): SpoolLine[] {
  const texts = segments().flatMap((name) =>
    readFileSync(join(directory, name), 'utf8').split('\n').slice(0, -1),
  );
  return texts.map((text) => JSON.parse(text) as SpoolLine);
}
const sizes = (): number[] => segments().map((name) => statSync(join(directory, name)).size);

/** Every number of a source is there, or inside a marker's range, and the counts agree. */
function expectAccounted(all: SpoolLine[], source: SpoolLine['source'], last: number): void {
  const kept = all.filter((line) => line.source === source).map((line) => line.seq);
  expect(kept).toEqual([...new Set(kept)].sort((a, b) => a - b));
  const markers = all
    .filter((line) => line.meta?.of === source)
    .map((line) => line.meta as Record<string, number>);
  const dropped = markers.reduce((sum, marker) => sum + (marker.dropped ?? 0), 0);
  expect(kept.length + dropped).toBe(last);
  const has = new Set(kept);
  for (let seq = 1; seq <= last; seq++) {
    const isMarked = markers.some(
      (marker) => (marker.first_seq ?? 0) <= seq && seq <= (marker.last_seq ?? 0),
    );
    expect(has.has(seq) || isMarked, `line ${seq}`).toBe(true);
  }
}

describe('the spool', () => {
  it('writes lines in order, numbered per source, in segments of the set size', async () => {
    const spool = open();
    for (let i = 1; i <= 300; i++) {
      spool.append('process', 'info', `line ${i} ${'x'.repeat(100)}`);
      if (i % 100 === 0) spool.append('system', 'warn', 'word', { i });
    }
    await spool.flush(5_000);
    const all = lines();
    expect(all.filter((line) => line.source === 'process').map((line) => line.seq)).toEqual(
      Array.from({ length: 300 }, (_, i) => i + 1),
    );
    expect(all.filter((line) => line.source === 'system').map((line) => line.meta)).toEqual([
      { i: 100 },
      { i: 200 },
      { i: 300 },
    ]);
    expect(segments()[0]).toBe('0000000001.ndjson');
    expect(segments().length).toBeGreaterThan(3);
    for (const size of sizes().slice(0, -1)) {
      expect(size).toBeGreaterThanOrEqual(10_000);
      expect(size).toBeLessThan(10_400);
    }
  });

  it('writes what arrives in one tick at once', async () => {
    let writes = 0;
    const spool = open({ onWritten: () => writes++, segmentBytes: 1_000_000, spoolBytesMax: 8_000_000 });
    for (let i = 0; i < 1_000; i++) spool.append('process', 'info', 'x');
    await spool.flush(5_000);
    expect(writes).toBe(1);
  });

  it('goes on counting where an earlier process stopped, and leaves its torn line alone', async () => {
    const first = open();
    for (let i = 0; i < 5; i++) first.append('process', 'info', 'a');
    first.append('system', 'info', 'b');
    await first.flush(5_000);
    appendFileSync(join(directory, '0000000001.ndjson'), '{"seq":6,"t":1,"level":"in');
    const second = open();
    second.append('process', 'info', 'c');
    second.append('system', 'info', 'd');
    await second.flush(5_000);
    expect(segments()).toEqual(['0000000001.ndjson', '0000000002.ndjson']);
    expect(readFileSync(join(directory, '0000000001.ndjson'), 'utf8')).toMatch(/"level":"in$/);
    expect(lines().map((line) => `${line.source} ${line.seq}`)).toEqual([
      ...[1, 2, 3, 4, 5].map((seq) => `process ${seq}`),
      'system 1',
      'process 6',
      'system 2',
    ]);
  });

  it('drops lines when it is full, and says which, once segments have been deleted', async () => {
    const spool = open({ spoolBytesMax: 20_000 });
    let last = 0;
    const add = (count: number): void => {
      for (let i = 0; i < count; i++) spool.append('process', 'info', `${++last} ${'x'.repeat(80)}`);
    };
    const add500 = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        add(100);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await add500();
    await spool.flush(5_000);
    expect(sizes().reduce((a, b) => a + b, 0)).toBeLessThan(22_000);
    expect(spool.isDropping()).toBe(true);
    const before = lines();
    expect(before.some((line) => line.meta?.dropped)).toBe(false);
    for (const name of segments().slice(0, -1)) rmSync(join(directory, name));
    const deleted = before.filter((line) => !lines().some((kept) => kept.seq === line.seq));
    // The marker comes by itself: no further line is needed.
    const marker = await until(() => lines().find((line) => line.meta?.dropped), 'the marker');
    expect(marker).toMatchObject({ level: 'warn', source: 'system', seq: 1 });
    expect(marker.msg).toBe(`${marker.meta?.dropped} log lines dropped: the spool is full`);
    expect(marker.meta?.last_seq).toBe(500);
    add(10);
    await spool.flush(5_000);
    expectAccounted([...deleted, ...lines()], 'process', 510);
  });

  it('has room again even when one segment alone could fill it', async () => {
    const spool = open({ spoolBytesMax: 2_000, segmentBytes: 1_000_000 });
    for (let i = 0; i < 100; i++) {
      spool.append('process', 'info', 'x'.repeat(100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await spool.flush(5_000);
    expect(segments().length).toBeGreaterThan(2);
    for (const name of segments().slice(0, -1)) rmSync(join(directory, name));
    await until(() => lines().find((line) => line.meta?.dropped), 'the marker');
  });

  it('takes a spool that cannot be written for a full one', async () => {
    const spool = open();
    spool.append('process', 'info', 'kept');
    await spool.flush(5_000);
    // A file where the directory was: nothing can be opened in it, not even by root.
    const moved = `${directory}-moved`;
    renameSync(directory, moved);
    writeFileSync(directory, '');
    for (let i = 0; i < 200; i++) spool.append('process', 'info', `${i} ${'x'.repeat(100)}`);
    await spool.flush(5_000);
    rmSync(directory);
    renameSync(moved, directory);
    const marker = await until(() => lines().find((line) => line.meta?.dropped), 'the marker');
    expect(marker.msg).toContain('the disk does not write (ENOTDIR)');
    spool.append('process', 'info', 'again');
    await spool.flush(5_000);
    expectAccounted(lines(), 'process', 202);
  });

  it.skipIf(!canMount)('lives through a full disk, and says what it cost', async () => {
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
    try {
      const spool = open({ segmentBytes: 50_000 });
      let last = 0;
      for (let round = 0; round < 20; round++) {
        for (let i = 0; i < 200; i++) spool.append('process', 'info', `${++last} ${'x'.repeat(100)}`);
        await spool.flush(5_000);
      }
      const stored = lines();
      expect(spool.isDropping()).toBe(true);
      for (const name of segments().slice(0, 3)) rmSync(join(directory, name));
      const marker = await until(() => lines().find((line) => line.meta?.dropped), 'the marker');
      expect(marker.msg).toContain('the disk is full (ENOSPC)');
      spool.append('process', 'info', 'again');
      await spool.flush(5_000);
      const known = new Set(stored.map((line) => line.seq));
      const after = lines().filter((line) => line.source === 'system' || !known.has(line.seq));
      expectAccounted([...stored, ...after], 'process', last + 1);
    } finally {
      spawnSync('umount', ['--lazy', directory]);
    }
  });
});

describe('the budget of a day', () => {
  it('goes on where the generation before stopped, is said when it is used up, and counts the rest', async () => {
    const spool = open({ budget: { bytesPerDay: 10_000, usedBytes: 4_000 } });
    const line = 'x'.repeat(100);
    for (let at = 0; at < 200; at += 1) spool.append('process', 'info', line);
    expect(spool.isDropping()).toBe(true);
    for (let at = 0; at < 50; at += 1) spool.drop('process');
    spool.append('system', 'info', 'the shim may still speak');
    await spool.flush(5_000);
    const all = lines();
    const kept = all.filter(({ source }) => source === 'process');
    expect(kept.reduce((sum, one) => sum + JSON.stringify(one).length + 1, 0)).toBeGreaterThanOrEqual(6_000);
    expect(kept.length).toBeLessThan(60);
    const markers = all.filter(({ meta }) => meta?.dropped !== undefined);
    expect(markers[0]).toMatchObject({
      ...{ level: 'warn', source: 'system' },
      meta: { dropped: 1, of: 'process', why: 'the log budget of the day, 10000 bytes, is used up' },
    });
    expect(markers).toHaveLength(2);
    expectAccounted(all, 'process', 250);
    expect(all.some(({ msg }) => msg === 'the shim may still speak')).toBe(true);
  });

  it('is a new one with the next day, and not with a clock that is set back', () => {
    const noon = Date.UTC(2030, 0, 1, 12);
    const budget = createSpoolBudget({ bytesPerDay: 100, usedBytes: 100 }, noon);
    expect(budget.isSpent(noon)).toBe(true);
    budget.drop(7);
    expect(budget.due(noon, false)).toMatchObject([{ meta: { dropped: 1, first_seq: 7 } }]);
    budget.said(noon);
    budget.drop(8);
    expect(budget.due(noon + 59_000, false)).toEqual([]);
    expect(budget.due(noon + 60_000, false)).toMatchObject([{ meta: { dropped: 1, first_seq: 8 } }]);
    expect(budget.isSpent(noon - 86_400_000)).toBe(true);
    expect(budget.isSpent(noon + 43_200_000)).toBe(false);
    expect(budget.due(noon + 43_200_000, false)).toHaveLength(1);
  });
});
