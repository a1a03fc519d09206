// Types from outside, by the command line against a real supervisor and a registry of npm: installed without their
// scripts, started once where they can do no harm, shown, and on only after a yes.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { McpTypeView } from '../../src/api/contract.ts';
import { run } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { type NpmRegistry, openNpmRegistry } from '../support/npm-registry.ts';
import { root } from '../support/source.ts';

let registry: NpmRegistry;
let daemon: Daemon;
let files: Server;
let filesUrl: string;
const documents = new Map<string, string>();

beforeAll(async () => {
  registry = await openNpmRegistry();
  daemon = await startDaemon({ ports: 4, env: { MINIMCP_NPM_REGISTRY: registry.url } });
  files = createServer((request, response) => {
    const text = documents.get(request.url ?? '');
    if (text === 'redirect') return response.writeHead(302, { location: 'ftp://127.0.0.1/x' }).end();
    return text === undefined ? response.writeHead(404).end() : response.end(text);
  });
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  const address = files.address();
  filesUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
});
afterAll(async () => {
  await daemon.dispose();
  await registry.close();
  await new Promise((resolve) => files.close(resolve));
});

/** A server with one tool; before it answers, it does `deed`. */
const server = (deed = ''): string => `
  import { existsSync, writeFileSync } from 'node:fs';
  import { connect } from 'node:net';
  ${deed}
  let text = '';
  const answers = {
    initialize: () => ({ protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'far', version: '3.2.1' } }),
    'tools/list': () => ({ tools: [{ name: 'look', title: 'Look', description: said, inputSchema: { type: 'object' },
      annotations: { readOnlyHint: true, title: 'x' } }] }),
  };
  process.stdin.on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\\n'); end >= 0; end = text.indexOf('\\n')) {
      const { id, method } = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      const result = answers[method]?.();
      const answer = result === undefined ? { error: { code: -32601, message: 'no' } } : { result };
      if (id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...answer }) + '\\n');
    }
  });`;

const manifest = (name: string, more: Record<string, unknown> = {}) => ({
  ...{
    name,
    version: '1.0.0',
    type: 'module',
    bin: 'server.mjs',
    license: 'MIT',
    description: `The ${name}`,
  },
  ...more,
});

function cli(args: readonly string[]) {
  return run(process.execPath, [join(root, 'bin', 'minimcp.js'), ...args], {
    env: { HOME: daemon.dataDir, MINIMCP_DATA_DIR: daemon.dataDir },
  });
}

async function added(args: readonly string[]): Promise<McpTypeView> {
  const { code, stdout, stderr } = await cli(['types', 'add', ...args, '--json']);
  if (code !== 0) throw new Error(`exit ${code}: ${stderr}${stdout}`);
  return JSON.parse(stdout);
}

const isOn = async (name: string): Promise<boolean> =>
  (await daemon.call<McpTypeView>('GET', `/mcp-types/${name}`)).body.data.is_active;

describe('a package of npm', () => {
  it('is installed without its scripts, tried without a network or a real key, shown, and on after a yes', async () => {
    const deed = `
      const key = process.env.FAR_KEY ?? '';
      const reached = await new Promise((resolve) => connect(${new URL(registry.url).port}, '127.0.0.1')
        .once('connect', () => resolve('reached')).once('error', () => resolve('unreached')));
      const said = [key.includes('trial') ? 'made up' : key, process.env.REGION, reached,
        existsSync(${JSON.stringify(daemon.dataDir)}) ? 'sees' : 'blind'].join(' ');`;
    const document = {
      name: 'com.example/far',
      title: 'Far',
      description: 'Looks afar',
      version: '0.0.1',
      packages: [
        { registryType: 'oci', identifier: 'example/far', transport: { type: 'stdio' } },
        {
          ...{ registryType: 'npm', identifier: '@far/away', version: '0.0.1', transport: { type: 'stdio' } },
          environmentVariables: [
            { name: 'FAR_KEY', isSecret: true, isRequired: true },
            { name: 'REGION', isRequired: true, choices: ['north', 'south'] },
          ],
        },
      ],
      _meta: { 'dev.minimcp/type': { egress: 'open', read_only_paths: ['/etc'] } },
    };
    const scripts = { postinstall: `touch ${daemon.dataDir}/ran` };
    await registry.publish(manifest('@far/away', { scripts }), {
      'server.mjs': server(deed),
      'server.json': JSON.stringify(document),
    });

    const { code, stdout, stderr } = await cli(['types', 'add', 'npm:@far/away']);
    expect(code, stderr).toBe(0);
    expect(await readdir(daemon.dataDir)).not.toContain('ran');
    const type = (await daemon.call<McpTypeView>('GET', '/mcp-types/far')).body.data;
    expect(type).toMatchObject({
      ...{ package: '@far/away', version: '1.0.0', source: 'npm:@far/away@1.0.0', license: 'MIT' },
      ...{ display_name: 'Far', key_variable: 'FAR_KEY', is_active: false, available: true, era: 'legacy' },
      // What a stranger wrote about how far it reaches does not count.
      ...{ egress: 'none', read_only_paths: [] },
    });
    expect(type.integrity).toMatch(/^sha512-/);
    const { trial } = type;
    if (trial?.state === 'skipped') return expect(trial.problem).toContain('isolation');
    expect(trial).toMatchObject({
      ...{ state: 'passed', server: { name: 'far', version: '3.2.1' }, protocol_version: '2025-06-18' },
      tools: [
        {
          ...{ name: 'look', title: 'Look', annotations: { readOnlyHint: true } },
          description: 'made up north unreached blind',
        },
      ],
      tools_total: 1,
    });
    expect(stdout).toMatch(/trial +passed in isolation L[34], without a network/);
    expect(stdout).toMatch(/look +reads +made up north/);
    expect(stdout).toContain('minimcp types enable far');
    expect(await readdir(daemon.dataDir)).not.toContain('trials');
    expect((await daemon.call<unknown[]>('GET', '/instances?include_ended=true')).body.data).toEqual([]);

    const refused = await daemon.call('POST', '/instances', { mcp_type: 'far' });
    expect(refused.body.code).toBe('type_disabled');
    await cli(['types', 'enable', 'far']);
    expect(await isOn('far')).toBe(true);
  }, 90_000);

  it('that cannot start is added off, with its last words, and can be put right', async () => {
    const deed = `if (process.argv[2] !== '--stdio' || !process.env.API_KEY) { console.error('give --stdio and API_KEY'); process.exit(3); } const said = 'ok';`;
    await registry.publish(manifest('picky'), { 'server.mjs': server(deed) });
    const first = await added(['npm:picky@1.0.0']);
    expect(first).toMatchObject({ is_active: false, registry_name: 'com.npmjs/picky' });
    if (first.trial?.state === 'skipped') return;
    expect(first.trial).toMatchObject({ state: 'failed', problem: expect.stringContaining('code 3') });
    expect(first.trial?.last_lines.join()).toContain('give --stdio and API_KEY');
    expect((await cli(['types', 'rm', 'picky'])).code).toBe(0);
    const second = await added([
      'npm:picky',
      '--key',
      'API_KEY',
      '--arg=--stdio',
      '--egress',
      'api.example.com',
      '--yes',
    ]);
    expect(second).toMatchObject({
      ...{
        is_active: true,
        key_variable: 'API_KEY',
        egress: 'allow-list',
        egress_hosts: ['api.example.com'],
      },
      trial: { state: 'passed' },
    });
  }, 90_000);

  it('of the modern era only is opened as such', async () => {
    const modern = server(`const said = 'modern';`).replace(
      /initialize: .*\n/,
      "'server/discover': () => ({ supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, serverInfo: { name: 'new', version: '9' } }),\n",
    );
    await registry.publish(manifest('newest'), { 'server.mjs': modern });
    const type = await added(['npm:newest']);
    if (type.trial?.state === 'skipped') return;
    expect(type).toMatchObject({
      era: 'modern',
      trial: { state: 'passed', protocol_version: '2026-07-28', tools_total: 1 },
    });
  }, 90_000);

  it.each([
    'npm:file:../x',
    'npm:../x',
    'npm:https://example.com/x.tgz',
    'npm:git+ssh://git@example.com/x.git',
    'npm:someone/repository',
    'npm:x@npm:y',
    'npm:x@^1.0.0',
    'npm:--global',
    'npm:x y',
    'npm:',
  ])('named %s is refused before anything is asked of anybody', async (source) => {
    const before = registry.asked.length;
    const answer = await daemon.call('POST', '/mcp-types', { source });
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid_field']);
    expect(answer.body.errors?.[0]?.pointer).toBe('/source');
    expect(registry.asked.length).toBe(before);
  });

  it('is refused with a program outside itself, and when it is not what the registry vouches for', async () => {
    await registry.publish(manifest('outward', { bin: '../../../bin/sh' }), { 'server.mjs': '' });
    const outward = await daemon.call('POST', '/mcp-types', { source: 'npm:outward' });
    expect([outward.status, outward.body.code]).toEqual([422, 'type_unavailable']);
    await registry.publish(manifest('swapped'), { 'server.mjs': server('const said = 1;') });
    registry.tamper('swapped');
    const swapped = await daemon.call('POST', '/mcp-types', { source: 'npm:swapped' });
    expect([swapped.status, swapped.body.code]).toEqual([422, 'package_tampered']);
    for (const name of ['outward', 'swapped'])
      expect((await daemon.call('GET', `/mcp-types/${name}`)).status).toBe(404);
  });
});

describe('a server.json', () => {
  const document = {
    name: 'com.example/plain',
    description: 'A plain one',
    version: '1.0.0',
    packages: [{ registryType: 'npm', identifier: 'plain', version: '1.0.0', transport: { type: 'stdio' } }],
    _meta: { 'dev.minimcp/type': { egress: 'open', max_duration_minutes: 7 } },
  };
  beforeAll(() => registry.publish(manifest('plain'), { 'server.mjs': server(`const said = 'plain';`) }));

  it('of a file is taken with what it says of ours, of an address without', async () => {
    const dir = join(daemon.dataDir, 'given');
    await mkdir(dir);
    await writeFile(join(dir, 'server.json'), JSON.stringify(document));
    const own = await added([join(dir, 'server.json')]);
    expect(own).toMatchObject({ name: 'plain', egress: 'open', max_duration_minutes: 7, is_active: false });

    // As a registry answers.
    documents.set('/good', JSON.stringify({ server: document, _meta: {} }));
    const foreign = await added([`${filesUrl}/good`, '--name', 'foreign']);
    expect(foreign).toMatchObject({ source: `${filesUrl}/good`, egress: 'none', max_duration_minutes: 60 });
  }, 90_000);

  it.each([
    ['nothing', '/none', /answers 404/],
    ['no JSON', '/text', /not JSON/],
    ['more than any server.json', '/large', /larger than 256 KiB/],
    ['a way elsewhere', '/away', /only https/],
  ])('at an address with %s is refused', async (_what, path, message) => {
    documents
      .set('/text', 'text')
      .set('/large', ' '.repeat(300 * 1_024))
      .set('/away', 'redirect');
    const { code, stderr } = await cli(['types', 'add', `${filesUrl}${path}`]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('is not fetched over an open line', async () => {
    expect((await cli(['types', 'add', 'http://192.0.2.1/server.json'])).stderr).toMatch(/only https/);
  });
});

it('is tried after all by the next supervisor when this one is killed over it', async () => {
  await registry.publish(manifest('slow'), {
    'server.mjs': server(`const said = 'slow'; await new Promise((resolve) => setTimeout(resolve, 3_000));`),
  });
  const answer = await fetch(`${daemon.url()}/api/v1/mcp-types`, {
    method: 'POST',
    headers: { authorization: `Bearer ${daemon.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ source: 'npm:slow' }),
  });
  const { data } = (await answer.json()) as { data: McpTypeView };
  expect(data.trial?.state).toBe('waiting');
  await daemon.kill9();
  await daemon.start();
  const state = async () => (await daemon.call<McpTypeView>('GET', '/mcp-types/slow')).body.data.trial?.state;
  await expect.poll(state, { timeout: 50_000, interval: 200 }).toMatch(/passed|skipped/);
  expect(await isOn('slow')).toBe(false);
  await expect.poll(() => readdir(daemon.dataDir), { timeout: 20_000 }).not.toContain('trials');
}, 90_000);
