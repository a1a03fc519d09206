// Real clients, as people run them, on real servers through one shim: every transport and era a client can speak, and
// every kind of server it can meet.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client as ModernClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChildSpec } from '../../src/shim/contract.ts';
import { connectMcpRemote, connectSdk, inspector } from '../support/clients.ts';
import { freePort, type RunningShim, startShim } from '../support/shim-harness.ts';

const require = createRequire(import.meta.url);
const packageFile = (name: string, file: string): string =>
  join(dirname(require.resolve(`${name}/package.json`)), file);
const everything = packageFile('@modelcontextprotocol/server-everything', 'dist/index.js');

type Mode = 'legacy' | 'auto' | { pin: string };

/** The client of SDK 2. */
async function connectModern(shim: RunningShim, mode: Mode): Promise<ModernClient> {
  const client = new ModernClient(
    { name: 'test', version: '1.0.0' },
    { versionNegotiation: { mode }, capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} } },
  );
  const requestInit = { headers: { Authorization: `Bearer ${shim.token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(shim.url), { requestInit }));
  return client;
}

const endpointOf = ({ url, token }: RunningShim) => ({ access_url: url, access_token: token });
const sum = { name: 'get-sum', arguments: { a: 2, b: 3 } };
const isFive = (result: unknown): void => expect(JSON.stringify(result)).toContain('The sum of 2 and 3 is 5');

describe('clients of server-everything', () => {
  let shim: RunningShim;
  beforeAll(async () => {
    shim = await startShim({ child: { args: [everything, 'stdio'] } });
  });
  afterAll(() => shim.dispose());

  it('SDK 1', async () => {
    const client = await connectSdk(endpointOf(shim));
    isFive(await client.callTool(sum));
    const steps: unknown[] = [];
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } };
    await client.callTool(long, undefined, { onprogress: (step) => steps.push(step) });
    expect(steps.length).toBeGreaterThanOrEqual(2);
    expect((await client.listResources()).resources.length).toBeGreaterThan(0);
    await client.close();
  });

  for (const [name, mode, version] of [
    ['legacy', 'legacy', '2025-11-25'],
    ['auto', 'auto', '2026-07-28'],
    ['pinned', { pin: '2026-07-28' }, '2026-07-28'],
  ] as const) {
    it(`SDK 2, ${name}`, async () => {
      const client = await connectModern(shim, mode);
      expect(client.getNegotiatedProtocolVersion()).toBe(version);
      expect(client.getServerVersion()?.name).toBe('mcp-servers/everything');
      isFive(await client.callTool(sum));
      expect((await client.listTools()).tools.map((tool) => tool.name)).toContain('echo');
      client.setRequestHandler('elicitation/create', () => ({ action: 'decline' }));
      const asked = await client.callTool({ name: 'trigger-elicitation-request', arguments: {} });
      expect(JSON.stringify(asked)).toMatch(/declined/i);
      await client.close();
    });
  }

  it('Inspector, in both eras', async () => {
    const call = ['--method', 'tools/call', '--tool-name', 'get-sum', '--tool-arg', 'a=2', 'b=3'];
    for (const era of ['legacy', 'modern', 'auto'])
      isFive(await inspector(endpointOf(shim), [...call, '--protocol-era', era]));
  }, 60_000);

  it('mcp-remote', async () => {
    const { client, close } = await connectMcpRemote(endpointOf(shim));
    isFive(await client.callTool(sum));
    await close();
  }, 60_000);

  it('all at once, on one process', async () => {
    const clients = await Promise.all([
      connectSdk(endpointOf(shim)),
      connectSdk(endpointOf(shim)),
      connectModern(shim, 'legacy'),
      connectModern(shim, 'auto'),
    ]);
    const calls = clients.flatMap((client) => Array.from({ length: 10 }, () => client.callTool(sum)));
    for (const result of await Promise.all(calls)) isFive(result);
    expect(shim.processes()).toHaveLength(1);
    expect((await shim.state()).restarts).toBe(0);
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe('servers', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'minimcp-files-'));
    await writeFile(join(directory, 'hello.txt'), 'hello from a file');
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  /** Both eras of client get the same tools from it. */
  async function both(
    child: Pick<ChildSpec, 'args'> & Partial<ChildSpec>,
    use: (shim: RunningShim) => Promise<void>,
  ) {
    await using shim = await startShim({ child });
    const clients = [await connectModern(shim, 'auto')];
    if (child.era !== 'modern') clients.push(await connectModern(shim, 'legacy'));
    const names = [];
    for (const client of clients) {
      names.push((await client.listTools()).tools.map((tool) => tool.name));
      await client.close();
    }
    expect(names[0]?.length).toBeGreaterThan(0);
    for (const other of names) expect(other).toEqual(names[0]);
    await use(shim);
    expect(shim.processes()).toHaveLength(1);
  }

  it('filesystem', async () => {
    const script = packageFile('@modelcontextprotocol/server-filesystem', 'dist/index.js');
    await both({ args: [script, directory] }, async (shim) => {
      const client = await connectModern(shim, 'auto');
      const read = { name: 'read_text_file', arguments: { path: join(directory, 'hello.txt') } };
      expect(JSON.stringify(await client.callTool(read))).toContain('hello from a file');
      await client.close();
    });
  });

  it('memory', async () => {
    const script = packageFile('@modelcontextprotocol/server-memory', 'dist/index.js');
    const env = { MEMORY_FILE_PATH: join(directory, 'memory.json') };
    await both({ args: [script], env }, async (shim) => {
      // What one client writes the other reads: it is one process.
      const [writer, reader] = [await connectSdk(endpointOf(shim)), await connectModern(shim, 'auto')];
      const entities = [{ name: 'Ada', entityType: 'person', observations: ['counts'] }];
      await writer.callTool({ name: 'create_entities', arguments: { entities } });
      expect(JSON.stringify(await reader.callTool({ name: 'read_graph', arguments: {} }))).toContain('Ada');
      await Promise.all([writer.close(), reader.close()]);
    });
  });

  it('github', async () => {
    const script = packageFile('@modelcontextprotocol/server-github', 'dist/index.js');
    const env = { GITHUB_PERSONAL_ACCESS_TOKEN: 'none' };
    await both({ args: [script], env }, async () => {});
  });

  it('context7, of the modern era, opened as such and as a legacy one', async () => {
    const script = packageFile('@upstash/context7-mcp', 'dist/index.js');
    await both({ args: [script], era: 'modern' }, async (shim) => {
      expect((await shim.state()).server?.protocolVersion).toBe('2026-07-28');
    });
    await both({ args: [script], era: 'dual' }, async () => {});
  });

  it('server-everything over HTTP', async () => {
    const httpPort = await freePort();
    const child = { args: [everything, 'streamableHttp'], transport: 'streamable-http' as const, httpPort };
    await using shim = await startShim({ child: { ...child, env: { PORT: String(httpPort) } } });
    const client = await connectSdk(endpointOf(shim));
    isFive(await client.callTool(sum));
    await client.close();
  });
});
