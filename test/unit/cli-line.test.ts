// The command line from outside: wrong use, how it finds the daemon, what it makes of answers and of their absence.
// The other end is a bare HTTP server that answers what a healthy daemon cannot be made to answer.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';

let dataDir: string;
let server: Server | undefined;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'minimcp-cli-'));
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
  await rm(dataDir, { recursive: true });
});

interface Given {
  readonly url?: string;
  readonly token?: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** Interrupts the command once it has written this. */
  readonly until?: string;
}

async function cli(line: string, given: Given = {}) {
  const out = new PassThrough();
  const err = new PassThrough();
  const stop = new AbortController();
  let seen = '';
  if (given.until !== undefined) {
    out.on('data', (chunk) => {
      seen += chunk;
      if (seen.includes(given.until ?? '')) stop.abort();
    });
  }
  const code = await runCommandLine(line.split(' '), {
    config: { url: given.url, token: given.token, dataDir },
    env: given.env ?? {},
    streams: { in: Readable.from([given.input ?? '']), out, err },
    signal: stop.signal,
  });
  out.end();
  err.end();
  return { code, out: given.until === undefined ? await text(out) : seen, err: await text(err) };
}

async function serve(listener: RequestListener): Promise<Given> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 'mmt_test' };
}

const answer =
  (status: number, body: unknown, headers = {}): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

const instance = (id: string, name: string) => ({
  ...{ id, name, mcp_type: 'everything', status: 'running', health: 'healthy', stop_reason: null },
  ...{ expires_at: '2031-01-01T12:10:00Z', server_time: '2031-01-01T12:00:00Z' },
  ...{ created_at: '2031-01-01T11:59:00Z', access_url: 'http://127.0.0.1:3001/mcp' },
});
const list = (...data: unknown[]) => ({
  data,
  meta: { next_cursor: null, server_time: '2031-01-01T12:00:00Z' },
});

describe('wrong use exits 2 before anything is asked', () => {
  it.each([
    ['nonsense', /unknown command 'nonsense'/],
    ['run', /missing required argument 'type'/],
    ['run everything --ttl soon', /"soon" is not a duration/],
    ['run everything --ttl 0', /ask for more than 0/],
    ['run everything --idle never', /"never" is not a duration/],
    ['run everything --set novalue', /KEY=VALUE/],
    ['extend some', /required option '--ttl/],
    ['logs some --level loud', /Allowed choices are debug, info, warn, error/],
    ['config some --client emacs', /Allowed choices are claude-code/],
    ['keys set github secret-as-argument', /too many arguments/],
    ['keys set github --from-env NO_SUCH', /NO_SUCH is not set/],
    ['migrate sideways', /migrate status/],
    ['types', /Usage: minimcp types/],
  ])('%s', async (line, said) => {
    const { code, out, err } = await cli(line);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(said);
  });

  it('with --json as one problem document', async () => {
    const { code, out } = await cli('run everything --ttl soon --json');
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ code: 'malformed_request' });
  });
});

it('shows its help and version, and exits 0', async () => {
  const help = await cli('--help');
  expect(help.code).toBe(0);
  expect(help.out.replace(/\s+/g, ' ')).toContain(
    'MiniMCP is a daemon that gives each person their own MCP server process, for a set time, behind one URL and one ' +
      'token, on a plain machine: no Docker, no Kubernetes.',
  );
  expect((await cli('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe('finding the daemon', () => {
  it('says that none runs', async () => {
    const { code, err } = await cli('ls');
    expect(code).toBe(75);
    expect(err).toMatch(/no daemon runs on .*\n.*daemon_unreachable: Start it with "minimcp up"/);
  });

  it('says that nobody answers', async () => {
    await writeFile(
      join(dataDir, 'daemon.json'),
      JSON.stringify({ url: 'http://127.0.0.1:1', pid: 4_000_000 }),
    );
    await writeFile(join(dataDir, 'admin-token'), 'mmt_x\n');
    const { code, err } = await cli('ls');
    expect(code).toBe(75);
    expect(err).toMatch(/nothing answers at http:\/\/127\.0\.0\.1:1/);
  });

  it('takes address and token from the data directory', async () => {
    let seen: string | undefined;
    const { url } = await serve((request, response) => {
      seen = request.headers.authorization;
      answer(200, list())(request, response);
    });
    await writeFile(join(dataDir, 'daemon.json'), JSON.stringify({ url, pid: 4_000_000, start_ticks: 1 }));
    await writeFile(join(dataDir, 'admin-token'), 'mmt_from-file\n');
    expect((await cli('ls')).code).toBe(0);
    expect(seen).toBe('Bearer mmt_from-file');
  });

  it('does not send the token of the data directory to another URL', async () => {
    await writeFile(join(dataDir, 'admin-token'), 'mmt_from-file\n');
    const { url } = await serve(answer(200, list()));
    const { code, err } = await cli('ls', { url: url ?? '' });
    expect(code).toBe(2);
    expect(err).toContain('set both, or neither');
  });

  it('does not follow a redirect with the token', async () => {
    let asked = 0;
    const given = await serve((_request, response) => {
      asked += 1;
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    expect((await cli('ls', given)).code).toBe(75);
    expect(asked).toBe(1);
  });

  it('says that nothing is there to stop', async () => {
    const file = { url: 'http://127.0.0.1:1', pid: process.pid, start_ticks: 1 };
    await writeFile(join(dataDir, 'daemon.json'), JSON.stringify(file));
    const { code, out } = await cli('down --json');
    expect({ code, document: JSON.parse(out) }).toEqual({
      code: 0,
      document: { stopped: false, reason: 'not running' },
    });
  });
});

describe('what the API refuses', () => {
  const problem = (status: number, code: string, detail: string) => ({
    ...{ type: 'about:blank', title: 't', status, code, detail, errors: [], request_id: 'r-1' },
  });

  it.each([
    [429, 'quota_exceeded', 75],
    [503, 'database_unavailable', 75],
    [422, 'unknown_type', 1],
    [401, 'unauthorized', 1],
    [500, 'internal', 1],
  ])('%d %s exits %s-wise with code and remedy', async (status, code, exitCode) => {
    const given = await serve(answer(status, problem(status, code, 'what happened'), { 'retry-after': '7' }));
    const people = await cli('run everything', given);
    expect(people.code).toBe(exitCode);
    expect(people.out).toBe('');
    expect(people.err).toMatch(new RegExp(`^minimcp: what happened\\n {2}${code}(, request r-1)?: .+\\n`));
    expect(people.err).toContain('Try again in 7 s.');
    const script = await cli('run everything --json', given);
    expect(JSON.parse(script.out)).toMatchObject({ code, status });
  });

  it('a page of someone else is no result', async () => {
    const html: RequestListener = (_request, response) => void response.end('<html>');
    expect((await cli('ls', await serve(html))).err).toContain('is it a MiniMCP?');
  });

  it('shows no control characters of others', async () => {
    const given = await serve(answer(422, problem(422, 'invalid_field', 'red \u001b[31m bell \u0007')));
    const { err } = await cli('ls', given);
    expect([...err].filter((char) => char < ' ' && char !== '\n')).toEqual([]);
  });
});

describe('an instance is named by id, prefix or name', () => {
  const a = instance('aaaa1111-0000-4000-8000-000000000001', 'notes');
  const b = instance('aaaa2222-0000-4000-8000-000000000002', 'aaaa1');
  const api: RequestListener = (request, response) => {
    const path = new URL(request.url ?? '', 'http://h').pathname;
    const one = [a, b].find(({ id }) => path.includes(id));
    const body = path.endsWith('/stats') ? { data: null } : one === undefined ? list(a, b) : { data: one };
    answer(200, body)(request, response);
  };

  it.each([
    ['notes', a.id],
    ['aaaa1', b.id],
    ['aaaa11', a.id],
    [b.id.toUpperCase(), b.id],
  ])('%s', async (wish, id) => {
    const { out } = await cli(`config ${wish} --client codex --json`, await serve(api));
    const expected = id === a.id ? 'notes' : 'aaaa1';
    expect(JSON.parse(out).content).toContain(`[mcp_servers.${expected}]`);
  });

  it('says which it could be', async () => {
    const { code, err } = await cli('show aaaa', await serve(api));
    expect(code).toBe(2);
    expect(err).toMatch(/could be 2 instances; say which:\n.*notes.*\n.*aaaa1/);
  });

  it('says when there is none', async () => {
    const { code, err } = await cli('show nothing', await serve(api));
    expect(code).toBe(1);
    expect(err).toContain('no instance of yours is called "nothing"');
  });
});

it('reads every page of a list', async () => {
  const pages = [instance('a', 'one'), instance('b', 'two'), instance('c', 'three')];
  const given = await serve((request, response) => {
    const at = Number(new URL(request.url ?? '', 'http://h').searchParams.get('cursor') ?? 0);
    const next_cursor = at + 1 < pages.length ? String(at + 1) : null;
    answer(200, { data: [pages[at]], meta: { next_cursor, server_time: '2031-01-01T12:00:00Z' } })(
      request,
      response,
    );
  });
  const { out } = await cli('ls --json', given);
  expect(JSON.parse(out).map(({ name }: { name: string }) => name)).toEqual(['one', 'two', 'three']);
  const table = await cli('ls', given);
  expect(table.out.split('\n')[0]).toMatch(/^NAME +ID +TYPE +STATUS +LEASE ENDS +CREATED +URL$/);
  expect(table.out).toContain('in 10m 00s');
});

it('looks for a text in a log as it stands, also on pages that hold nothing', async () => {
  const asked: (string | null)[] = [];
  const line = {
    timestamp: '2031-01-01T12:00:00.000Z',
    level: 'warn',
    source: 'process',
    message: '100% of a_b',
  };
  const given = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    const isLogs = url.pathname.endsWith('/logs');
    if (isLogs) asked.push(url.searchParams.get('q'));
    const page = {
      ...list(...(asked.length < 3 ? [] : [line])),
      meta: { next_cursor: 'c', server_time: '' },
    };
    if (asked.length === 3) page.meta.next_cursor = null as unknown as string;
    answer(200, isLogs ? page : list(instance('0a000000-0000-4000-8000-000000000001', 'notes')))(
      request,
      response,
    );
  });
  const { code, out } = await cli('logs notes --grep %_b', given);
  expect([code, asked]).toEqual([0, ['%_b', '%_b', '%_b']]);
  expect(out).toContain('100% of a_b');
});

it('keeps a key from standard input out of what it says', async () => {
  let body = '';
  const given = await serve((request, response) => {
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => answer(200, { data: { key_hint: '…cret' } })(request, response));
  });
  const { code, out, err } = await cli('keys set github', { ...given, input: 'ghp_secret\n' });
  expect(code).toBe(0);
  expect(JSON.parse(body)).toEqual({ api_key: 'ghp_secret' });
  expect(out + err).not.toContain('ghp_secret');
  await cli('keys set github --from-env KEY', { ...given, env: { KEY: 'from-env' } });
  expect(body).toContain('from-env');
});

it('follows a log over a broken connection, from where it broke, until it is told to stop', async () => {
  const id = 'aaaa1111-0000-4000-8000-000000000001';
  const asked: (string | undefined)[] = [];
  const line = (seq: number) => ({
    ...{ id: `id-${seq}`, timestamp: '2031-01-01T12:00:00.000Z', level: 'info', source: 'process' },
    ...{ seq, message: `line ${seq}` },
  });
  const event = (seq: number) => `id: id-${seq}\ndata: ${JSON.stringify(line(seq))}\n\n`;
  const given = await serve((request, response) => {
    if (!request.url?.includes('/stream')) return answer(200, list(line(2), line(1)))(request, response);
    asked.push(request.headers['last-event-id'] as string | undefined);
    if (asked.length === 2) return answer(503, { code: 'draining', status: 503 })(request, response);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (asked.length === 1) return void response.write(event(3), () => response.destroy());
    response.write(event(4));
  });
  const { code, out } = await cli(`logs ${id} -f --json`, { ...given, until: 'line 4' });
  expect(code).toBe(0);
  expect(asked).toEqual(['id-2', 'id-3', 'id-3']);
  const seqs = out
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text).seq);
  expect(seqs).toEqual([1, 2, 3, 4]);
});
