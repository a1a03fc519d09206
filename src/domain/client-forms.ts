// One form per MCP client: where its configuration goes and what stands in it, from documentation of the clients. Pure;
// the rules that all of them share are in client-config.ts.

/** The clients configuration is written for. */
export const clients = [
  'claude-code',
  'claude-code-json',
  'claude-desktop',
  'cursor',
  'vscode',
  'codex',
  'gemini',
  'goose',
  'windsurf',
  'cline',
  'roo',
  'opencode',
] as const;
export type ClientName = (typeof clients)[number];

/** What a form says; the rest follows from it. */
export interface Draft {
  readonly title: string;
  /** Where it goes: a file, or a shell. */
  readonly where: string;
  /** Default: the document as JSON, or the command as a shell line. */
  readonly content?: string;
  readonly format?: 'toml' | 'yaml';
  readonly command?: readonly string[];
  readonly document?: Record<string, unknown>;
  readonly token_variable?: string;
  readonly link?: string;
  readonly notes?: readonly string[];
}

/** What forms are filled with. */
export interface Filled {
  readonly name: string;
  readonly url: string;
  readonly token: string;
  readonly bearer: string;
  readonly variable: string;
  readonly program: readonly [string, ...string[]];
}

export const forms: Readonly<Record<ClientName, (target: Filled) => Draft>> = {
  'claude-code': ({ name, url, bearer }) => ({
    title: 'Claude Code',
    where: 'a shell',
    command: [
      'claude',
      'mcp',
      'add',
      '--transport',
      'http',
      name,
      url,
      '--header',
      `Authorization: ${bearer}`,
    ],
  }),
  'claude-code-json': ({ name, url, variable }) => ({
    title: 'Claude Code, per project',
    where: '.mcp.json in the project',
    token_variable: variable,
    document: {
      mcpServers: { [name]: { type: 'http', url, headers: authorization(`Bearer \${${variable}}`) } },
    },
  }),
  'claude-desktop': ({ name, url, token, program: [command, ...args] }) => ({
    title: 'Claude Desktop',
    where: 'claude_desktop_config.json (Settings → Developer → Edit Config)',
    document: {
      mcpServers: {
        [name]: {
          command,
          args: [...args, 'bridge', name, '--url', url],
          env: { MINIMCP_ACCESS_TOKEN: token },
        },
      },
    },
    notes: [
      'It takes no remote servers by itself: "minimcp bridge" stands between it and the URL.',
      ...(args.length === 0 ? [`"${command}" has to be a command where Claude Desktop runs.`] : []),
      'Restart Claude Desktop.',
    ],
  }),
  cursor: ({ name, url, bearer, variable }) => ({
    title: 'Cursor',
    where: '.cursor/mcp.json in the project, or ~/.cursor/mcp.json',
    document: { mcpServers: { [name]: { url, headers: authorization(bearer) } } },
    link: cursorLink(name, { url, headers: authorization(`Bearer \${env:${variable}}`) }),
    notes: [`The link reads the token from the environment variable ${variable}.`],
  }),
  vscode: ({ name, url }) => {
    const id = `mm-${name}`;
    const server = { type: 'http', url, headers: authorization(`Bearer \${input:${id}}`) };
    const inputs = [
      { type: 'promptString', id, description: `MiniMCP token for ${name}`, password: true },
    ] as const;
    return {
      title: 'VS Code',
      where: '.vscode/mcp.json in the project',
      document: { servers: { [name]: server }, inputs },
      link: `vscode:mcp/install?${encodeURIComponent(JSON.stringify({ name, ...server, inputs }))}`,
      notes: ['VS Code asks for the token once and keeps it.'],
    };
  },
  codex: ({ name, url, variable }) => ({
    title: 'Codex',
    where: '~/.codex/config.toml',
    format: 'toml',
    token_variable: variable,
    document: { mcp_servers: { [name]: { url, bearer_token_env_var: variable } } },
    content: [
      `[mcp_servers.${tomlKey(name)}]`,
      `url = ${quoted(url)}`,
      `bearer_token_env_var = ${quoted(variable)}`,
    ].join('\n'),
  }),
  gemini: ({ name, url, bearer }) => ({
    title: 'Gemini CLI',
    where: 'a shell',
    command: ['gemini', 'mcp', 'add', '--transport', 'http', '-H', `Authorization: ${bearer}`, name, url],
  }),
  goose: ({ name, url, bearer }) => ({
    title: 'Goose',
    where: '~/.config/goose/config.yaml',
    format: 'yaml',
    document: {
      extensions: {
        [name]: {
          type: 'streamable_http',
          name,
          enabled: true,
          uri: url,
          headers: authorization(bearer),
          timeout: 300,
        },
      },
    },
    content: [
      'extensions:',
      `  ${yamlKey(name)}:`,
      '    type: streamable_http',
      `    name: ${quoted(name)}`,
      '    enabled: true',
      `    uri: ${quoted(url)}`,
      '    headers:',
      `      Authorization: ${quoted(bearer)}`,
      '    timeout: 300',
    ].join('\n'),
  }),
  windsurf: ({ name, url, bearer }) => ({
    title: 'Windsurf',
    where: '~/.codeium/windsurf/mcp_config.json',
    document: { mcpServers: { [name]: { serverUrl: url, headers: authorization(bearer) } } },
  }),
  cline: ({ name, url, bearer }) => ({
    title: 'Cline',
    where: 'cline_mcp_settings.json (MCP Servers → Configure)',
    document: { mcpServers: { [name]: { type: 'streamableHttp', url, headers: authorization(bearer) } } },
  }),
  roo: ({ name, url, bearer }) => ({
    title: 'Roo Code',
    where: '.roo/mcp.json in the project, or mcp_settings.json (MCP → Edit Global MCP)',
    document: { mcpServers: { [name]: { type: 'streamable-http', url, headers: authorization(bearer) } } },
  }),
  opencode: ({ name, url, bearer }) => ({
    title: 'OpenCode',
    where: 'opencode.json in the project, or ~/.config/opencode/opencode.json',
    document: {
      mcp: { [name]: { type: 'remote', url, headers: authorization(bearer), enabled: true } },
    },
  }),
};

function authorization(value: string): { readonly Authorization: string } {
  return { Authorization: value };
}

function cursorLink(name: string, server: unknown): string {
  const config = encodeURIComponent(Buffer.from(JSON.stringify(server)).toString('base64'));
  return `cursor://anysphere.cursor-deeplink/mcp/install?name=${encodeURIComponent(name)}&config=${config}`;
}

/** A JSON string is also a TOML basic string and a YAML double-quoted one. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

function tomlKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : quoted(key);
}

/** Plain YAML keys only where no reader can take them for something else (a number, a boolean, null). */
function yamlKey(key: string): string {
  return /^[a-z][a-z0-9-]*$/.test(key) && !/^(?:true|false|yes|no|on|off|null|y|n)$/.test(key)
    ? key
    : quoted(key);
}
