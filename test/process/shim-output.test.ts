import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { monotonicMs, nowMs } from '../../src/base/clock.ts';
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

const mib = 1024 * 1024;
const spoolOf = (shim: RunningShim): string => {
  const directory = join(shim.bundleDir, 'spool');
  return readdirSync(directory)
    .map((name) => readFileSync(join(directory, name), 'utf8'))
    .join('');
};
const spoolSize = (shim: RunningShim): number => {
  const directory = join(shim.bundleDir, 'spool');
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
};

describe('what the child writes', () => {
  it('to standard error is logged with its level, clean and whole', async () => {
    const shim = await start();
    const call = await openSession(shim);
    await call('stderr', {
      text: '[error] no disk\n\u001b[33mWARN\u001b[0m hot\n{"level":20,"msg":"x"}\nplain\nnul \u0000 half \ud800\n\n',
    });
    await shim.logged((line) => line.msg.startsWith('nul'));
    const lines = shim.log().filter((line) => line.source === 'process');
    expect(lines.map((line) => [line.seq, line.level, line.msg])).toEqual([
      [1, 'info', 'fixture starting'],
      [2, 'error', '[error] no disk'],
      [3, 'warn', 'WARN hot'],
      [4, 'debug', '{"level":20,"msg":"x"}'],
      [5, 'info', 'plain'],
      [6, 'info', 'nul \ufffd half \ufffd'],
      [7, 'info', ''],
    ]);
    for (const line of lines) expect(Math.abs(nowMs() - line.t)).toBeLessThan(60_000);
  });

  it('to standard error shows no secret, in no spelling and however it is cut', async () => {
    const secret = 'sk_live/51H+very"secret\\value 0123';
    const shim = await start({ spec: { secrets: [secret] }, bounds: { logLineBytesMax: 2_000 } });
    const call = await openSession(shim);
    const spellings = [
      secret,
      encodeURIComponent(secret),
      JSON.stringify({ key: secret }),
      JSON.stringify(JSON.stringify({ key: secret })),
      Buffer.from(`user:${secret}`).toString('base64'),
      `${'x'.repeat(1_995)}${secret}`,
      `${'x'.repeat(10_000)}${secret}`,
    ];
    for (const text of spellings) await call('stderr', { text: `${text}\n` });
    // In single bytes, as a logger without a buffer writes.
    for (const char of `${secret}\n`) await call('stderr', { text: char });
    await call('stdout', { text: `oops ${secret}\n` });
    await call('stderr', { text: `Error: bad key ${secret}\n` });
    await shim.logged((line) => line.msg.startsWith('Error: bad key'));
    const record = await shim.stop();
    for (const part of ['sk_live', '51H', 'very', Buffer.from(secret).toString('base64').slice(8, 24)]) {
      expect(spoolOf(shim)).not.toContain(part);
      expect(JSON.stringify(record)).not.toContain(part);
    }
    expect(record.lastLines.at(-1)).toBe('Error: bad key [redacted]');
    const cut = shim.log().filter((line) => line.meta?.truncated);
    expect(cut.map((line) => line.meta?.bytes)).toEqual([1_995 + secret.length, 10_000 + secret.length]);
  });

  it('to standard output that is not MCP is logged as its mistake and skipped', async () => {
    const shim = await start({ args: ['--junk'] });
    const call = await openSession(shim);
    await call('stdout', { text: 'debug: here\n{"half":\n[1,2\n"text"\n\u0000\n' });
    expect(textOf(await call('echo', { text: 'still here' }))).toBe('still here');
    await until(
      () =>
        shim.log().filter((line) => line.source === 'system' && line.level === 'warn').length >= 5 ||
        undefined,
      'the mistakes',
    );
    expect((await shim.state()).restarts).toBe(0);
  });

  it('to standard output may be a line of 10 MB, and not of more', async () => {
    const shim = await start();
    const call = await openSession(shim);
    expect(textOf(await call('long', { bytes: 9.9 * mib })).length).toBe(Math.floor(9.9 * mib));
    void call('long', { bytes: 12 * mib }).catch(() => {});
    const word = await shim.logged((line) => line.source === 'system' && line.msg.includes('skipped'));
    expect(word.meta?.bytes).toBeGreaterThan(12 * mib);
    expect(textOf(await call('echo', { text: 'after' }))).toBe('after');
    expect((await shim.state()).rssBytes).toBeLessThan(150 * mib);
  });
});

describe('a flood', () => {
  it('of log costs no memory and no call, and ends in a marker', async () => {
    const spoolBytesMax = 4 * mib;
    const shim = await start({ bounds: { spoolBytesMax, spoolSegmentBytes: mib } });
    const call = await openSession(shim);
    const bytes = 200 * mib;
    await call('flood', { bytes });
    let peak = 0;
    let slowestMs = 0;
    const lines = Math.ceil(bytes / 60_000) * 600;
    const last = () => readFileSync(`/proc/${shim.pid}/io`, 'utf8');
    let readBytes = 0;
    for (let i = 0; readBytes < bytes && i < 2_000; i++) {
      const startedMs = monotonicMs();
      expect(textOf(await call('echo', { text: 'there' }))).toBe('there');
      slowestMs = Math.max(slowestMs, monotonicMs() - startedMs);
      const state = await shim.state();
      peak = Math.max(peak, state.rssBytes);
      readBytes = Number(/^rchar: (\d+)/m.exec(last())?.[1]);
    }
    expect(peak).toBeLessThan(150 * mib);
    expect(slowestMs).toBeLessThan(2_000);
    expect(spoolSize(shim)).toBeLessThan(spoolBytesMax + mib);
    // The supervisor stores and deletes; then there is room for the word about what was lost.
    const before = shim.log();
    const directory = join(shim.bundleDir, 'spool');
    for (const name of readdirSync(directory).sort().slice(0, -1)) rmSync(join(directory, name));
    const marker = await shim.logged((line) => line.meta?.dropped !== undefined);
    expect(marker).toMatchObject({ level: 'warn', source: 'system' });
    await shim.stop();
    const seen = new Map([...before, ...shim.log()].map((line) => [`${line.source} ${line.seq}`, line]));
    const kept = [...seen.values()].filter((line) => line.source === 'process').length;
    const dropped = [...seen.values()].reduce((sum, line) => sum + Number(line.meta?.dropped ?? 0), 0);
    expect(kept + dropped).toBe(lines + 1);
  }, 120_000);

  it('of junk on standard output ends neither the bridge nor the log', async () => {
    const shim = await start();
    const call = await openSession(shim);
    const text = 'junk junk junk\n'.repeat(60_000);
    for (let i = 0; i < 5; i++) await call('stdout', { text });
    expect(textOf(await call('echo', { text: 'still here' }))).toBe('still here');
    const { rssBytes } = await shim.state();
    expect(rssBytes).toBeLessThan(150 * mib);
    expect(spoolSize(shim)).toBeLessThan(mib);
  });
});
