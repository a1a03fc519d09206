// Real MCP clients, as users run them, each pointed at one URL with one token.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { root } from './source.ts';

export interface Endpoint {
  readonly access_url: string;
  readonly access_token: string;
}

const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

/** The official SDK's client, connected. */
export async function connectSdk({ access_url: url, access_token: token }: Endpoint): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  });
  // The SDK's own classes disagree under exactOptionalPropertyTypes.
  await client.connect(transport as Parameters<Client['connect']>[0]);
  return client;
}

/** One run of the Inspector's command line. @returns the parsed answer */
export async function inspector(
  { access_url: url, access_token: token }: Endpoint,
  args: readonly string[],
): Promise<unknown> {
  const { stdout } = await promisify(execFile)(
    bin('mcp-inspector'),
    ['--cli', url, '--transport', 'http', '--header', `Authorization: Bearer ${token}`, ...args],
    { timeout: 30_000, maxBuffer: 10_000_000 },
  );
  return JSON.parse(stdout);
}

/** mcp-remote between a stdio client and the URL, as Claude Desktop runs it. */
export async function connectMcpRemote({
  access_url: url,
  access_token: token,
}: Endpoint): Promise<{ client: Client; close(): Promise<void> }> {
  const home = await mkdtemp(join(tmpdir(), 'mcp-remote-'));
  const transport = new StdioClientTransport({
    command: bin('mcp-remote'),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: mcp-remote replaces it from its environment
    args: [url, '--header', 'Authorization:${AUTH_HEADER}', '--transport', 'http-only'],
    env: {
      PATH: process.env.PATH ?? '',
      HOME: home,
      MCP_REMOTE_CONFIG_DIR: home,
      AUTH_HEADER: `Bearer ${token}`,
    },
    stderr: 'ignore',
  });
  const client = new Client({ name: 'test', version: '1.0.0' });
  await client.connect(transport as Parameters<Client['connect']>[0]);
  return {
    client,
    close: async () => {
      await client.close();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A program that must end by itself. @returns its exit code and output */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly env?: Record<string, string>; readonly input?: string } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH ?? '', ...options.env },
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  child.stdin.end(options.input ?? '');
  const [code] = await once(child, 'close');
  return { code: code as number | null, stdout, stderr };
}
