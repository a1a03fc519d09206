// The dashboard's files over HTTP: what is served and how long it may be kept, what is not served, and what the browser is
// told that the page may do.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ApiHouse, openApi } from '../support/api.ts';

let house: ApiHouse;
beforeAll(async () => {
  house = await openApi();
});
afterAll(() => house[Symbol.asyncDispose]());

const get = (path: string, headers: Record<string, string> = {}) =>
  house.send('GET', path, { token: '', headers });

/** A path as it is: fetch would tidy it before it is sent. */
const statusOfRaw = (path: string) =>
  new Promise<number>((resolve, reject) => {
    const { hostname, port } = new URL(house.url);
    request({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });

it('says how the page is made while it is not', async () => {
  const answer = await get('/');
  expect(answer.status).toBe(404);
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(answer.text).toContain('npm run build');
  expect((await get('/assets/index-1.js')).json.code).toBe('not_found');
});

it('serves the page and what it loads, and tells browsers how to keep and to confine it', async () => {
  await mkdir(join(house.pageDir, 'assets'), { recursive: true });
  await writeFile(join(house.pageDir, 'index.html'), '<!doctype html><title>x</title>');
  await writeFile(join(house.pageDir, 'assets', 'index-B1.js'), 'export {};');
  const [page, asset] = [await get('/'), await get('/assets/index-B1.js')];
  expect([page.status, page.text]).toEqual([200, '<!doctype html><title>x</title>']);
  expect(page.headers.get('cache-control')).toBe('no-cache');
  expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  expect(asset.headers.get('content-type')).toMatch(/^(text|application)\/javascript/);
  for (const answer of [page, asset]) {
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  }
  // Without the last, fetch says no-cache of its own accord.
  const known = { 'if-none-match': page.headers.get('etag') ?? '', 'cache-control': 'max-age=0' };
  const again = await get('/', known);
  expect([again.status, again.text]).toEqual([304, '']);
  const head = await house.send('HEAD', '/assets/index-B1.js', { token: '' });
  expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '10']);
  expect((await house.send('HEAD', '/', { token: '' })).status).toBe(200);
  const api = await get('/healthz');
  expect(api.headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'");
});

it('serves nothing else', async () => {
  await writeFile(join(house.pageDir, '..', 'outside.txt'), 'secret');
  await writeFile(join(house.pageDir, 'assets', '.hidden'), 'secret');
  await mkdir(join(house.pageDir, 'assets', 'inner'));
  await symlink('/etc/passwd', join(house.pageDir, 'assets', 'link.txt'));
  for (const path of [
    '/assets/',
    '/assets',
    '/assets/inner',
    '/assets/.hidden',
    '/assets/../../outside.txt',
    '/assets/..%2f..%2foutside.txt',
    '/assets/%2e%2e/%2e%2e/outside.txt',
    '/assets/..%5c..%5coutside.txt',
    '/assets//etc/passwd',
    '/assets/index-B1.js%00.txt',
    '/assets/link.txt',
    '/index.html',
    '/master-keys.json',
    '//',
  ]) {
    expect([path, await statusOfRaw(path)]).toEqual([path, 404]);
  }
  expect((await get('/assets/nothing.js')).headers.get('cache-control')).toBe('no-store');
  const range = await get('/assets/index-B1.js', { range: 'bytes=900-' });
  expect([range.status, range.text]).toEqual([200, 'export {};']);
  for (const method of ['POST', 'PUT', 'DELETE'])
    expect((await house.send(method, '/', { token: '' })).status).toBe(404);
  const failed = await get('/', { 'if-match': '"x"' });
  expect([failed.status, failed.json.code]).toEqual([400, 'malformed_request']);
});
