// The configuration of each client against the shape that the client documents, by structure and not by spelling; and
// deep links, opened as the client opens them. What is ours in them: a variable and an input of its own per instance.
import { describe, expect, it } from 'vitest';
import { type ClientName, clientConfig, clients } from '../../src/domain/client-config.ts';

const name = 'scratch';
const url = 'http://127.0.0.1:3001/mcp';
const token = 'mcp_T';
const authorization = { Authorization: `Bearer ${token}` };

/** One entry each, below the section where the client looks for it; a command for those that are told by one. */
const shapes: Partial<Record<ClientName, unknown>> = {
  'claude-code': `claude mcp add --transport http ${name} ${url} --header "Authorization: Bearer ${token}"`,
  'claude-code-json': {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Claude Code fills it in from its environment
    mcpServers: { [name]: { type: 'http', url, headers: { Authorization: 'Bearer ${MM_TOKEN_SCRATCH}' } } },
  },
  cursor: { mcpServers: { [name]: { url, headers: authorization } } },
  vscode: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code asks for it
    servers: { [name]: { type: 'http', url, headers: { Authorization: 'Bearer ${input:mm-scratch}' } } },
    inputs: [
      { type: 'promptString', id: 'mm-scratch', description: 'MiniMCP token for scratch', password: true },
    ],
  },
  codex: `[mcp_servers.${name}]\nurl = "${url}"\nbearer_token_env_var = "MM_TOKEN_SCRATCH"`,
  gemini: `gemini mcp add --transport http -H "Authorization: Bearer ${token}" ${name} ${url}`,
  goose: {
    extensions: {
      [name]: {
        type: 'streamable_http',
        name,
        enabled: true,
        uri: url,
        headers: authorization,
        timeout: 300,
      },
    },
  },
  windsurf: { mcpServers: { [name]: { serverUrl: url, headers: authorization } } },
  cline: { mcpServers: { [name]: { type: 'streamableHttp', url, headers: authorization } } },
  roo: { mcpServers: { [name]: { type: 'streamable-http', url, headers: authorization } } },
  opencode: { mcp: { [name]: { type: 'remote', url, headers: authorization, enabled: true } } },
};

it('covers every client; Claude Desktop takes no remote servers and is given a program', () => {
  expect([...Object.keys(shapes), 'claude-desktop'].sort()).toEqual([...clients].sort());
  const { document } = clientConfig('claude-desktop', { name, url, token });
  const servers = document?.mcpServers as Record<string, { command: string; args: string[] }>;
  expect(servers[name]?.command).toBeTypeOf('string');
  // What starts it is seen by every process of the machine.
  expect(servers[name]?.args.join(' ')).not.toContain(token);
});

describe.each(Object.entries(shapes))('%s', (client, shape) => {
  it('has the documented shape', () => {
    const config = clientConfig(client as ClientName, { name, url, token });
    if (typeof shape === 'string') expect(config.content).toBe(shape);
    else expect(config.document).toEqual(shape);
  });
});

describe('a deep link', () => {
  it('of Cursor holds the inner object in base64, to be read with a token from its environment', () => {
    const link = new URL(clientConfig('cursor', { name, url, token }).link ?? '');
    expect(`${link.protocol}//${link.host}${link.pathname}`).toBe(
      'cursor://anysphere.cursor-deeplink/mcp/install',
    );
    expect(link.searchParams.get('name')).toBe(name);
    // A "+" of base64 that was not percent-encoded would come out as a space, and be no base64 any more.
    const inner = link.searchParams.get('config') ?? '';
    expect(inner).toMatch(/^[A-Za-z0-9+/]+=*$/);
    expect(JSON.parse(Buffer.from(inner, 'base64').toString())).toEqual({
      url,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Cursor fills it in
      headers: { Authorization: 'Bearer ${env:MM_TOKEN_SCRATCH}' },
    });
  });

  it('of VS Code is one percent-encoded object with its inputs', () => {
    const link = clientConfig('vscode', { name, url, token }).link ?? '';
    expect(link.startsWith('vscode:mcp/install?')).toBe(true);
    const encoded = link.slice('vscode:mcp/install?'.length);
    expect(encoded).toMatch(/^[A-Za-z0-9%._~!*'()-]+$/);
    const { servers, inputs } = clientConfig('vscode', { name, url }).document as {
      servers: Record<string, object>;
      inputs: unknown;
    };
    expect(JSON.parse(decodeURIComponent(encoded))).toEqual({ name, ...servers[name], inputs });
  });

  it.each(['cursor', 'vscode'] as const)(
    'of %s survives names and addresses with special characters',
    (client) => {
      const odd = { name: 'a+b&c=d#é', url: 'http://h/mcp?a=1&b=>>>???#x' };
      const link = clientConfig(client, odd).link ?? '';
      const decoded =
        client === 'cursor'
          ? Buffer.from(new URL(link).searchParams.get('config') ?? '', 'base64').toString()
          : decodeURIComponent(link.slice('vscode:mcp/install?'.length));
      expect(JSON.parse(decoded).url).toBe(odd.url);
      if (client === 'cursor') expect(new URL(link).searchParams.get('name')).toBe(odd.name);
      else expect(JSON.parse(decoded).name).toBe(odd.name);
    },
  );
});
