// Every failure says what to type next, in commands that exist; every way to end has its documented exit code.
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, errorRegistry } from '../../src/base/errors.ts';
import { createProgram } from '../../src/cli/program.ts';
import { remedyFor } from '../../src/cli/remedies.ts';
import { nearest } from '../../src/cli/suggest.ts';
import { commandLine, standIn } from '../support/command-line.ts';

/** Codes whose remedy is no command, and why. */
const nothingToType: Partial<Record<ErrorCode, string>> = {
  package_tampered: 'the package is looked at, not the daemon',
  malformed_json: 'the CLI sends JSON: only other clients meet it',
  malformed_request: 'errors[] or the detail says which part; wrong use names --help',
  method_not_allowed: 'the CLI uses what is offered: only other clients meet it',
  idempotency_in_progress: 'the CLI sends no Idempotency-Key',
  idempotency_key_reused: 'the CLI sends no Idempotency-Key',
  body_too_large: 'the detail names the limit: the input has to become smaller',
  unsupported_media_type: 'the CLI sends application/json',
  invalid_field: 'errors[] names the field and what would be right',
  rate_limited: 'there is nothing to do but to wait',
  start_queue_full: 'there is nothing to do but to wait',
  csrf_token_wrong: 'the CLI shows a token, not a cookie: only browsers meet it',
  foreign_origin: 'the CLI sends no Origin: only browsers meet it',
  node_fenced: 'the daemon that says so is already leaving',
};

function find(words: readonly string[]): Command | undefined {
  const streams = { in: process.stdin, out: process.stderr, err: process.stderr };
  const { signal } = new AbortController();
  const program = createProgram({ config: { dataDir: '/nowhere' }, env: {}, streams, signal });
  let command: Command | undefined = program;
  for (const word of words) {
    if (command === undefined || command.registeredArguments.length > 0) return command;
    const under: Command | undefined = command.commands.find((child) => child.name() === word);
    if (under === undefined) return command === program || command.commands.length > 0 ? undefined : command;
    command = under;
  }
  return command;
}

const words = { id: 'scratch', type: 'github' };

describe.each(Object.keys(errorRegistry) as ErrorCode[])('%s', (code) => {
  const remedy = remedyFor(code, words) ?? '';
  const commands = [...remedy.matchAll(/"minimcp ([^"]+)"/g)].map(([, line = '']) => line);

  it('says what to do, in a command unless there is none to type', () => {
    expect(remedy.length).toBeGreaterThan(10);
    if (code in nothingToType) expect(commands).toEqual([]);
    else expect(commands).not.toEqual([]);
  });

  it('names commands that there are, with the words of the failed one', () => {
    for (const line of commands) {
      expect(find(line.split(' ')), line).toBeDefined();
      expect(remedyFor(code) === remedy || /scratch|github|types ls/.test(remedy), line).toBe(true);
    }
  });

  it('is said with its code when the API refuses', async () => {
    const { status, title } = errorRegistry[code];
    const problem = {
      type: 'about:blank',
      title,
      status,
      code,
      detail: 'what happened',
      errors: [],
      request_id: 'r-1',
    };
    const server = await standIn(
      (_request, response) => void response.writeHead(status).end(JSON.stringify(problem)),
    );
    const {
      err,
      out,
      code: exit,
    } = await commandLine('show 01a1fd25-aee4-7000-8000-000000000001', server.given);
    await server.close();
    const [first, ...below] = err.trimEnd().split('\n');
    expect(first).toBe('minimcp: what happened');
    expect(below.at(-1)).toMatch(new RegExp(`^ {2}${code}(, request r-1)?: .+[.)]$`));
    expect({ out, exit }).toEqual({ out: '', exit: tryAgain(status, code) ? 75 : 1 });
  });
});

function tryAgain(status: number, code: string): boolean {
  return status === 429 || status === 503 || code === 'daemon_unreachable';
}

describe('exit codes', () => {
  const ok = {
    status: 200,
    body: { data: [], meta: { next_cursor: null, server_time: '2031-01-01T00:00:00Z' } },
  };
  const refuse = (status: number, code: string) => ({ status, body: { status, code, detail: 'd' } });

  it.each([
    [0, 'ls', ok],
    [0, '--help', ok],
    [0, '--version', ok],
    [0, 'ls --help', ok],
    [1, 'ls', refuse(403, 'forbidden')],
    [1, 'ls', refuse(500, 'internal')],
    [1, 'show nobody', ok],
    [2, 'no-such-command', ok],
    [2, 'ls --no-such-option', ok],
    [2, 'ls --status asleep', ok],
    [2, 'show', ok],
    [2, 'run everything --ttl soon', ok],
    [2, 'settings', ok],
    [75, 'ls', refuse(503, 'database_unavailable')],
    [75, 'ls', refuse(429, 'quota_exceeded')],
  ])('%i: minimcp %s', async (expected, line, { status, body }) => {
    const server = await standIn(
      (_request, response) => void response.writeHead(status).end(JSON.stringify(body)),
    );
    const { code } = await commandLine(line, server.given);
    await server.close();
    expect(code).toBe(expected);
  });

  it('75: nobody answers', async () => {
    const { code, err } = await commandLine('ls', { url: 'http://127.0.0.1:1', token: 'mmt_x' });
    expect(code).toBe(75);
    expect(err).toContain('minimcp up');
  });
});

describe('did you mean', () => {
  it.each([
    ['gihtub', ['github', 'gitlab', 'memory'], ['github']],
    ['Memory', ['memory', 'github'], ['memory']],
    ['memroy', ['memory'], ['memory']],
    ['x', ['a', 'b'], []],
    ['zzzzzz', ['github'], []],
    ['scratc', ['scratch', 'scratch2'], ['scratch']],
    ['wrk', ['work', 'wok'], ['work', 'wok']],
  ])('%s of %j', (wish, known, expected) => {
    expect(nearest(wish, known)).toEqual(expected);
  });

  const named = (name: string) => ({
    id: `${name}-id`,
    name,
    key: name,
    key_id: name,
    email: name,
    scopes: [],
    display_name: name,
    value: 1,
  });

  it.each([
    ['instances', 'show scrath', '/instances', named('scratch'), '"scratch"'],
    ['types', 'types show gthub', '/mcp-types', named('github'), '"github"'],
    ['types that are asked for', 'run gthub', '/mcp-types', named('github'), '"github"'],
    [
      'settings',
      'settings set mcp.drian_seconds 1',
      '/settings',
      named('mcp.drain_seconds'),
      '"mcp.drain_seconds"',
    ],
    ['users', 'users show an@example.test', '/users', named('ann@example.test'), '"ann@example.test"'],
    ['tokens', 'tokens rm lapto', '/tokens', named('laptop'), '"laptop"'],
  ])('%s', async (_, line, path, entry, meant) => {
    const server = await standIn((request, response) => {
      const isList =
        request.method === 'GET' && new URL(request.url ?? '', 'http://h').pathname.endsWith(path);
      const meta = { next_cursor: null, server_time: '2031-01-01T00:00:00Z' };
      const refusal = { status: 404, code: 'not_found', detail: 'it is not there' };
      response.writeHead(isList ? 200 : 404).end(JSON.stringify(isList ? { data: [entry], meta } : refusal));
    });
    const { err, code } = await commandLine(line, server.given);
    await server.close();
    expect(code).toBe(1);
    expect(err).toContain(`  Did you mean ${meant}?\n`);
  });

  it.each([
    ['commands', 'lst', '"ls"'],
    ['commands below others', 'keys ste github', '"set"'],
    ['options', 'ls --watc', '"--watch"'],
    ['clients', 'connect scratch curser', '"cursor"'],
    ['choices of options', 'logs scratch --level warm', '"warn"'],
  ])('%s', async (_, line, meant) => {
    const { err, code } = await commandLine(line);
    expect(code).toBe(2);
    expect(err).toContain(`  Did you mean ${meant}?\n`);
    expect(err).toMatch(/ {2}See "minimcp .*--help"\.\n$/);
  });
});
