import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleShim } from '../../src/runtime/shim-bundle.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'minimcp-shim-file-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('the bundle of the shim', () => {
  it('is one script, made once, named by its sources, readable by every user', async () => {
    const [first, second] = await Promise.all([bundleShim(directory), bundleShim(directory)]);
    expect(second).toBe(first);
    expect(readdirSync(directory)).toHaveLength(1);
    expect(first).toMatch(/shim-[0-9a-f]{16}\.cjs$/);
    expect(statSync(first).mode & 0o777).toBe(0o644);
    expect(spawnSync(process.execPath, ['--check', first]).status).toBe(0);
  });

  it('needs nothing but Node', async () => {
    const text = readFileSync(await bundleShim(directory), 'utf8');
    const needed = [...text.matchAll(/require\("([^"]+)"\)/g)].map((match) => match[1] ?? '');
    expect(needed.length).toBeGreaterThan(3);
    for (const name of needed) expect(isBuiltin(name), name).toBe(true);
    for (const heavy of [
      'node:stream/promises',
      'node:readline',
      'node:zlib',
      'node:http2',
      'node:tls',
      'node:util',
    ]) {
      expect(needed).not.toContain(heavy);
    }
    expect(text.length).toBeLessThan(256 * 1024);
  });
});
