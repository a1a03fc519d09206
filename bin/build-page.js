#!/usr/bin/env node
// Builds the page into dist/dashboard and holds it to its budget. Plain JavaScript, because "npm ci" may run it on a Node
// that does not strip types. With --if-possible (the prepare script) it skips, and says so, where there is no vite; with
// --out=DIR it builds elsewhere.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const ifPossible = process.argv.includes('--if-possible');
const elsewhere = process.argv.find((argument) => argument.startsWith('--out='))?.slice('--out='.length);
const out = elsewhere ?? join(root, 'dist', 'dashboard');

/** Most that all files of a kind may weigh together, gzipped, in bytes. */
const budgets = { js: 60_000, css: 10_000 };

const vite = await import('vite').catch((error) => {
  if (!ifPossible) throw error;
});
if (vite === undefined) {
  const has = existsSync(join(out, 'index.html'));
  console.log(`page: vite is not installed; ${has ? 'the page stays as it is' : 'there will be no page'}`);
} else {
  await vite.build({ configFile: join(root, 'vite.config.ts'), logLevel: 'warn', build: { outDir: out } });
  const over = Object.entries(budgets).filter(([kind, bytesMax]) => {
    const bytes = weigh(kind);
    console.log(`page: ${kind.padEnd(3)} ${kilobytes(bytes)} gzip, of ${kilobytes(bytesMax)} allowed`);
    return bytes > bytesMax;
  });
  // A page that grew too heavy is still a page: only a build asked for fails on it, not an install.
  if (over.length > 0 && !ifPossible) process.exitCode = 1;
}

function weigh(kind) {
  const assets = join(out, 'assets');
  return readdirSync(assets)
    .filter((name) => name.endsWith(`.${kind}`))
    .reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name)), { level: 9 }).length, 0);
}

function kilobytes(bytes) {
  return `${(bytes / 1_000).toFixed(1)} kB`;
}
