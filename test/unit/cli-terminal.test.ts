// What only a terminal gets (colour, tables cut to it, a word about what is waited for), and what nobody else does.
import { Writable } from 'node:stream';
import { afterEach, expect, it } from 'vitest';
import { createWaiting } from '../../src/cli/waiting.ts';
import { commandLine, type Given, standIn } from '../support/command-line.ts';

let close: (() => Promise<void>) | undefined;
afterEach(() => close?.());

const instance = {
  ...{
    id: '01a1fd25-aee4-7000-8000-000000000001',
    name: 'scratch',
    mcp_type: 'everything',
    status: 'running',
  },
  ...{ health: 'healthy', stop_reason: null, access_url: 'http://127.0.0.1:3001/mcp' },
  ...{
    expires_at: '2031-01-01T12:10:00Z',
    server_time: '2031-01-01T12:00:00Z',
    created_at: '2031-01-01T11:59:00Z',
  },
};
const list = JSON.stringify({
  data: [instance],
  meta: { next_cursor: null, server_time: instance.server_time },
});

/** A daemon that answers once `ready` has resolved. */
async function daemon(ready: Promise<void> = Promise.resolve()): Promise<Given> {
  const server = await standIn(async (_request, response) => {
    await ready;
    response.end(list);
  });
  close = server.close;
  return server.given;
}

const colour = '\u001b[';

it.each([
  ['a terminal', { columns: 100 }, true],
  ['a terminal with NO_COLOR', { columns: 100, env: { NO_COLOR: '1' } }, false],
  ['a terminal with an empty NO_COLOR', { columns: 100, env: { NO_COLOR: '' } }, true],
  ['a dumb terminal', { columns: 100, env: { TERM: 'dumb' } }, false],
  ['a pipe', {}, false],
  ['a pipe with FORCE_COLOR', { env: { FORCE_COLOR: '1' } }, true],
  ['a terminal with FORCE_COLOR=0', { columns: 100, env: { FORCE_COLOR: '0' } }, false],
  ['FORCE_COLOR over NO_COLOR', { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, true],
])('%s: colour %#', async (_, given, isColoured) => {
  const { out } = await commandLine('ls', { ...(await daemon()), ...given });
  expect(out.includes(colour)).toBe(isColoured);
  expect(out).toContain('scratch');
});

it('no colour is in a document, whatever is forced', async () => {
  const { out } = await commandLine('ls --json', {
    ...(await daemon()),
    columns: 80,
    env: { FORCE_COLOR: '1' },
  });
  expect(out).not.toContain(colour);
  expect(JSON.parse(out)).toEqual([instance]);
});

it('a table is cut to the terminal, and to nothing else', async () => {
  const given = { ...(await daemon()), env: { NO_COLOR: '1' } };
  const narrow = (await commandLine('ls', { ...given, columns: 60 })).out.split('\n');
  expect(narrow[0]).toBe('NAME     STATUS   LEASE ENDS  URL');
  const piped = (await commandLine('ls', given)).out.split('\n');
  expect(piped[0]).toBe('NAME     ID             TYPE        STATUS   LEASE ENDS  CREATED     URL');
});

/** A terminal sees what is waited for after a second, and only then does the daemon answer. */
it('says on a terminal what it waits for, and takes it away again', async () => {
  const seen = Promise.withResolvers<void>();
  const given = await daemon(seen.promise);
  const running = commandLine('ls', {
    ...given,
    columns: 80,
    onError: (text) => text.includes('1s') && seen.resolve(),
  });
  const { err, out } = await running;
  expect(err).toMatch(/⠋ Waiting for the daemon … 1s/);
  expect(err.endsWith('\r\u001b[K')).toBe(true);
  expect(out).toContain('scratch');
});

it.each([
  ['with --json', 'ls --json', { columns: 80 }],
  ['on a dumb terminal', 'ls', { columns: 80, env: { TERM: 'dumb' } }],
  ['piped', 'ls', {}],
])('says nothing of it %s', async (_, line, given) => {
  const late = new Promise<void>((resolve) => setTimeout(resolve, 1_300));
  const { err, code } = await commandLine(line, { ...(await daemon(late)), ...given });
  expect({ err, code }).toEqual({ err: '', code: 0 });
});

it('says the whole that is waited for, and nothing of its parts', async () => {
  const seen = Promise.withResolvers<void>();
  let written = '';
  const out = new Writable({
    write(chunk, _encoding, done) {
      written += chunk;
      if (written.includes('1s')) seen.resolve();
      done();
    },
  });
  const waiting = createWaiting(out, true);
  await waiting('Waiting until scratch is gone', () => waiting('Waiting for the daemon', () => seen.promise));
  expect(written).toContain('Waiting until scratch is gone … 1s');
  expect(written).not.toContain('daemon');
});
