// The page as it is shipped: light enough, whole in itself, and with nothing that its Content-Security-Policy forbids.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/source.ts';

let directory: string;
let output: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'minimcp-page-'));
  const program = join(root, 'bin', 'build-page.js');
  output = execFileSync(process.execPath, [program, `--out=${directory}`], { cwd: root, encoding: 'utf8' });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const assets = (ending: string): string[] =>
  readdirSync(join(directory, 'assets'))
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(join(directory, 'assets', name), 'utf8'));
const weight = (ending: string): number =>
  assets(ending).reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);

/** Names of languages, which nobody fetches. */
const namespaces = /^http:\/\/www\.w3\.org\/(?:1998\/Math\/MathML|1999\/xhtml|1999\/xlink|2000\/svg)$/;

describe('the bundle of the page', () => {
  it('stays within 60 kB of script and 10 kB of style, gzipped, and the build says so', () => {
    expect(weight('.js')).toBeGreaterThan(5_000);
    expect(weight('.js')).toBeLessThanOrEqual(60_000);
    expect(weight('.css')).toBeGreaterThan(1_000);
    expect(weight('.css')).toBeLessThanOrEqual(10_000);
    expect(output).toMatch(/js +\d+\.\d kB gzip[\s\S]*css \d+\.\d kB gzip/);
  });

  it('names no address of somewhere else', () => {
    const index = readFileSync(join(directory, 'index.html'), 'utf8');
    const urls = [...assets('.js'), ...assets('.css'), ...assets('.svg'), index].flatMap(
      (text) => text.match(/(?:https?|wss?):\/\/[\w.-]+[^\s'"`)<>]*/g) ?? [],
    );
    expect(urls.filter((url) => !namespaces.test(url))).toEqual([]);
    expect(index).not.toMatch(/(?:src|href)="\/\//);
  });

  it('inlines nothing, and every file in it is named by its content', () => {
    const index = readFileSync(join(directory, 'index.html'), 'utf8');
    expect(index).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:/i);
    for (const [, attributes = '', body = ''] of index.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)) {
      expect(attributes).toContain('src="./assets/');
      expect(body.trim()).toBe('');
    }
    expect([...assets('.js'), ...assets('.css')].filter((text) => /data:(?:image|font)/.test(text))).toEqual(
      [],
    );
    const names = readdirSync(join(directory, 'assets'));
    expect(names.filter((name) => !/-[\w-]{8}\.(?:js|css|svg)$/.test(name))).toEqual([]);
  });

  it('carries no source of the daemon: zod and Node stay outside', () => {
    for (const text of assets('.js')) {
      expect(text).not.toContain('ZodError');
      expect(text).not.toContain('node:');
    }
  });
});

describe('an install without vite', () => {
  it('says that there is no page, and does not fail', () => {
    const bare = join(directory, 'bare');
    mkdirSync(join(bare, 'bin'), { recursive: true });
    cpSync(join(root, 'bin', 'build-page.js'), join(bare, 'bin', 'build-page.js'));
    cpSync(join(root, 'package.json'), join(bare, 'package.json'));
    const said = execFileSync(process.execPath, [join(bare, 'bin', 'build-page.js'), '--if-possible'], {
      encoding: 'utf8',
    });
    expect(said).toBe('page: vite is not installed; there will be no page\n');
  });
});
