// The command line can do everything the API can: for each operation the command that asks for it, run against a
// stand-in that notes what it is asked. A route that is added without a command fails here.
import type { RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { routes } from '../../src/api/routes.ts';
import { createProgram } from '../../src/cli/program.ts';
import { commandLine, standIn } from '../support/command-line.ts';

const id = 'aaaa1111-0000-4000-8000-000000000001';

/** Operation → a line that asks for it. */
const commands: Readonly<Record<string, string>> = {
  listTypes: 'types ls',
  getType: 'types show github',
  createType: 'types add -',
  tryType: 'types try github',
  removeType: 'types rm github',
  patchType: 'types set github --longest 8h --idle never --legacy-sse on',
  createInstance: 'run everything --ttl 1h --no-wait',
  listInstances: 'ls --all',
  getInstance: `show ${id}`,
  removeInstance: `rm ${id}`,
  stopInstance: `stop ${id}`,
  restartInstance: `restart ${id}`,
  restoreInstance: `restore ${id}`,
  renewInstance: `renew ${id}`,
  extendInstance: `extend ${id} --ttl 30m`,
  newAccessToken: `token ${id}`,
  listInstanceLogs: `logs ${id} --since 1h --until 10m --level warn`,
  streamInstanceLogs: `logs ${id} --follow`,
  exportInstanceLogs: `logs ${id} --format csv`,
  listInstanceEvents: `events ${id}`,
  getInstanceStats: `stats ${id}`,
  getInstanceUsage: `stats ${id} --since 1h`,
  listUsage: 'stats',
  listInstanceTools: `tools ${id}`,
  callInstanceTool: `call ${id} echo --arguments {"message":"hi"}`,
  streamChanges: 'ls --watch',
  listApiKeys: 'keys ls',
  putApiKey: 'keys set github --from-env KEY',
  removeApiKey: 'keys rm github',
  createLoginLink: 'dashboard',
  getHealth: 'status',
  getSummary: 'status',
  getMe: 'me',
  exportMe: 'users export',
  listApiTokens: 'tokens ls',
  createApiToken: 'tokens add laptop --scope admin --per-minute 60',
  revokeApiToken: `tokens rm ${id}`,
  listUsers: 'users ls',
  createUser: 'users add ann@example.test',
  getUser: `users show ${id}`,
  patchUser: `users set ${id} --role admin`,
  eraseUser: `users erase ${id} --yes`,
  exportUser: `users export ${id}`,
  listPorts: 'ports',
  listNodes: 'nodes',
  listEvents: 'events --since 1h --event ready',
  listSettings: 'settings get',
  putSetting: 'settings set mcp.drain_seconds 5',
  listKeyring: 'keyring ls',
  addMasterKey: 'keyring add',
  rotateMasterKeys: 'keyring rotate',
  retireMasterKey: 'keyring retire k1',
  drain: 'drain',
};

/** Operations without a command, and why. */
const exempt: Readonly<Record<string, string>> = {
  healthz: 'for probes: a command that gets an answer has learned the same',
  readyz: 'for probes; "minimcp doctor" looks at the same and at more',
  metrics: 'for Prometheus, in its own format',
  openapi: 'for generators of clients',
  openSession: 'for browsers: a command shows its token',
  getSession: 'for browsers; "minimcp me" says who a token is',
  endSession: 'for browsers: a command has no session to end',
  listRegistry: 'for clients that choose servers from a registry; "minimcp types ls" lists the same',
  listRegistryVersions: 'for clients that choose servers from a registry',
  getRegistryVersion: 'for clients that choose servers from a registry',
  getClientConfig: '"minimcp config" fills in the same forms, with the token that the API never knows again',
};

/** Commands that ask no API: they are about this machine, or about the command line itself. */
const local: readonly string[] = ['up', 'down', 'demo', 'doctor', 'migrate', 'completion', 'disconnect'];

/** Commands that ask an API only for what another one asks too. */
const further: readonly string[] = [
  'bridge',
  'connect',
  'config',
  'types enable',
  'types disable',
  'users enable',
  'users disable',
];

/** What the stand-in was asked while the line ran. */
async function asked(line: string): Promise<string[]> {
  const requests: string[] = [];
  const one = {
    id,
    name: 'one',
    email: 'one@example.test',
    status: 'running',
    key_id: 'k1',
    database: { ok: true },
  };
  const answer: RequestListener = (request, response) => {
    const path = new URL(request.url ?? '', 'http://h').pathname;
    requests.push(`${request.method} ${path}`);
    if (path.endsWith('/stream'))
      return void response.writeHead(410).end('{"code":"lease_over","status":410}');
    const list = /\/(instances|users|tokens|nodes|ports|events|settings|keyring|mcp-types|api-keys)$/;
    const data = /\/(logs|usage)$/.test(path)
      ? []
      : request.method === 'GET' && list.test(path)
        ? [one]
        : one;
    response.end(JSON.stringify({ data, meta: { next_cursor: null, server_time: '2031-01-01T00:00:00Z' } }));
  };
  const server = await standIn(answer);
  await commandLine(line, { ...server.given, env: { KEY: 'k' }, input: '{"name":"a","packages":[]}' });
  await server.close();
  return requests;
}

const operations = new Map(routes.map(([method, path, , operation]) => [operation.id, { method, path }]));

it('every operation has a command, or a reason to have none; and nothing is listed that is no operation', () => {
  const listed = [...Object.keys(commands), ...Object.keys(exempt)].sort();
  expect(listed).toEqual([...operations.keys()].sort());
});

describe.each(Object.entries(commands))('%s', (operation, line) => {
  it(`is asked for by: ${line}`, async () => {
    const { method, path } = operations.get(operation) ?? { method: '', path: '' };
    const route = new RegExp(`^${method} ${path.replaceAll(/:\w+/g, '[^/]+')}$`);
    const requests = await asked(line);
    expect(requests.filter((request) => route.test(request))).not.toEqual([]);
  });

  const writesItself = / --format /.test(line) || line.startsWith('users export');
  if (writesItself) return;
  it('with --json answers a refusal with one document', async () => {
    const refusal = {
      type: 'about:blank',
      title: 't',
      status: 500,
      code: 'internal',
      detail: 'd',
      errors: [],
    };
    const server = await standIn(
      (_request, response) =>
        void response.writeHead(500).end(JSON.stringify({ ...refusal, request_id: 'r-1' })),
    );
    const { code, out } = await commandLine([...line.split(' '), '--json'], {
      ...server.given,
      env: { KEY: 'k' },
      input: '{}',
    });
    await server.close();
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ code: 'internal', request_id: 'r-1' });
  });
});

interface Leaf {
  readonly path: string;
  readonly options: readonly string[];
  readonly help: string;
}

function leaves(): Leaf[] {
  const out = { write: () => true } as unknown as NodeJS.WritableStream;
  const streams = { in: process.stdin, out, err: out };
  const program = createProgram({
    config: { dataDir: '/nowhere' },
    env: {},
    streams,
    signal: new AbortController().signal,
  });
  const walk = (command: typeof program, path: string): Leaf[] =>
    command.commands.length > 0
      ? command.commands.flatMap((child) => walk(child, `${path} ${child.name()}`.trim()))
      : [{ path, options: command.options.map(({ long }) => long ?? ''), help: command.helpInformation() }];
  return walk(program, '');
}

describe.each(leaves())('minimcp $path', ({ path, options, help }) => {
  it('takes --json, says what it does and what its arguments are', () => {
    expect(options).toContain('--json');
    const [usage = '', , summary = ''] = help.split('\n');
    expect(usage).toContain(`minimcp ${path}`);
    expect(summary.length).toBeGreaterThan(8);
    const section = /Arguments:\n([\s\S]*?)\n\n/.exec(help)?.[1] ?? '';
    const undescribed = section.split('\n').filter((line) => /^ {2}\S+$/.test(line));
    expect(undescribed).toEqual([]);
    for (const [, argument] of usage.matchAll(/[<[](\w+)[>\]]/g)) {
      if (argument !== 'options') expect(section).toContain(`  ${argument}`);
    }
  });

  it('is known to the table above', () => {
    const used = [...Object.values(commands), ...local, ...further].some((line) =>
      `${line} `.startsWith(`${path} `),
    );
    expect(used).toBe(true);
  });
});
