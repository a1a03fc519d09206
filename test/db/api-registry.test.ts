// Our types as an MCP registry, over HTTP: every entry is what the format of 2025-12-11 asks for and what a client that
// is a page can read; nothing is there that is switched off, and nothing can be changed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ApiHouse, openApi } from '../support/api.ts';

let house: ApiHouse;
beforeAll(async () => {
  house = await openApi();
});
afterAll(() => house[Symbol.asyncDispose]());

const input = {
  description: z.string().optional(),
  isRequired: z.boolean().optional(),
  isSecret: z.boolean().optional(),
  format: z.enum(['string', 'number', 'boolean', 'filepath']).optional(),
  value: z.string().optional(),
  default: z.string().optional(),
  placeholder: z.string().optional(),
  choices: z.array(z.string()).optional(),
};
const withVariables = { ...input, variables: z.record(z.string(), z.strictObject(input)).optional() };
const argument = z.union([
  z
    .strictObject({ ...withVariables, type: z.literal('positional'), valueHint: z.string().optional() })
    .refine(({ value, valueHint }) => value !== undefined || valueHint !== undefined),
  z.strictObject({ ...withVariables, type: z.literal('named'), name: z.string().min(1) }),
]);
/** The schema of 2025-12-11, as far as anything of ours may use it. */
const serverSchema = z.strictObject({
  $schema: z.literal('https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json'),
  name: z
    .string()
    .min(3)
    .max(200)
    .regex(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/),
  title: z.string().min(1).max(100),
  description: z.string().min(1).max(100),
  version: z.string().max(255),
  icons: z.array(z.strictObject({ src: z.url({ protocol: /^https$/ }).max(255) })).optional(),
  packages: z.array(
    z.strictObject({
      registryType: z.literal('npm'),
      identifier: z.string(),
      version: z.string().regex(/^\d+\.\d+\.\d+/),
      runtimeHint: z.string().optional(),
      transport: z.strictObject({ type: z.literal('stdio') }),
      packageArguments: z.array(argument).optional(),
      environmentVariables: z.array(z.strictObject({ ...withVariables, name: z.string() })).optional(),
    }),
  ),
});
const time = z.iso.datetime();
const entrySchema = z.strictObject({
  server: serverSchema,
  _meta: z.strictObject({
    'io.modelcontextprotocol.registry/official': z.strictObject({
      status: z.literal('active'),
      publishedAt: time,
      updatedAt: time,
      isLatest: z.boolean(),
    }),
  }),
});
const listSchema = z.strictObject({
  servers: z.array(entrySchema),
  metadata: z.strictObject({ count: z.int(), nextCursor: z.string().optional() }),
});

const list = async (query = '') => {
  const answer = await house.send('GET', `/v0.1/servers${query}`, { token: '' });
  expect(answer.status, answer.text).toBe(200);
  return listSchema.parse(answer.json);
};
const namesOf = ({ servers }: z.infer<typeof listSchema>): string[] =>
  servers.map(({ server }) => `${server.name}@${server.version}`);

async function add(
  name: string,
  version: string,
  pkg: Record<string, unknown> = {},
  meta: Record<string, unknown> = {},
): Promise<void> {
  const server = {
    ...{ name: `com.example/${name}`, description: 'A server. '.repeat(20), version },
    packages: [
      { registryType: 'npm', identifier: `pkg-${name}`, version, transport: { type: 'stdio' }, ...pkg },
    ],
    _meta: { 'dev.minimcp/type': { name: `${name}-${version.replaceAll('.', '-')}`, ...meta } },
  };
  const answer = await house.send('POST', '/api/v1/mcp-types?enable=true', { body: server });
  expect(answer.status, answer.text).toBe(201);
}

describe('the registry', () => {
  beforeAll(async () => {
    await add('versions', '1.9.0');
    await add('versions', '1.10.0');
    await add(
      'rich',
      '2.0.0',
      {
        packageArguments: [
          // biome-ignore lint/suspicious/noTemplateCurlyInString: stands for the home
          { type: 'positional', value: '${HOME}/x' },
          { type: 'positional', valueHint: 'dir', description: 'where' },
          { type: 'named', name: '--mode', choices: ['a', 'b'], default: 'a' },
        ],
        environmentVariables: [
          { name: 'FIXED', value: '1' },
          { name: 'KEY', isSecret: true, isRequired: true },
        ],
      },
      { read_only_paths: ['/usr/share/secret-of-ours'], icon_url: 'https://example.com/i.png' },
    );
    await add('off', '1.0.0');
    await house.send('PATCH', '/api/v1/mcp-types/off-1-0-0', { body: { is_active: false } });
    const waiting = await house.send('POST', '/api/v1/mcp-types', { body: { source: 'npm:not-yet@1.0.0' } });
    expect([waiting.status, waiting.json.data.is_active]).toEqual([201, false]);
  });

  it('lists what is switched on, in the format, the newest version of a server first', async () => {
    const answer = await list();
    expect(namesOf(answer)).toEqual([
      'com.example/rich@2.0.0',
      'com.example/versions@1.10.0',
      'com.example/versions@1.9.0',
    ]);
    expect(answer.metadata).toEqual({ count: 3 });
    expect(JSON.stringify(answer)).not.toContain('secret-of-ours');
    const [rich] = answer.servers;
    expect(rich?.server.icons).toEqual([{ src: 'https://example.com/i.png' }]);
    expect(rich?.server.packages[0]).toMatchObject({
      packageArguments: [
        { type: 'positional', value: '{home}/x', variables: { home: { isRequired: true } } },
        { type: 'positional', valueHint: 'dir', description: 'where' },
        { type: 'named', name: '--mode', choices: ['a', 'b'], default: 'a' },
      ],
      environmentVariables: [
        { name: 'FIXED', value: '1' },
        { name: 'KEY', isSecret: true, isRequired: true },
      ],
    });
  });

  it('is paged, searched and filtered as VS Code does it', async () => {
    const first = await list('?limit=1&version=latest');
    expect(namesOf(first)).toEqual(['com.example/rich@2.0.0']);
    const second = await list(`?limit=1&version=latest&cursor=${first.metadata.nextCursor}`);
    expect(namesOf(second)).toEqual(['com.example/versions@1.10.0']);
    expect(second.metadata.nextCursor).toBeUndefined();
    expect(namesOf(await list('?search=RICH'))).toEqual(['com.example/rich@2.0.0']);
    expect(namesOf(await list('?version=1.9.0'))).toEqual(['com.example/versions@1.9.0']);
    expect(namesOf(await list('?updated_since=2999-01-01T00:00:00Z'))).toEqual([]);
    expect((await house.send('GET', '/v0.1/servers?cursor=x', { token: '' })).status).toBe(400);
  });

  it('has the versions of one server, and one of them', async () => {
    const path = `/v0.1/servers/${encodeURIComponent('com.example/versions')}/versions`;
    const versions = await house.send('GET', path, { token: '' });
    expect(namesOf(listSchema.parse(versions.json))).toEqual([
      'com.example/versions@1.10.0',
      'com.example/versions@1.9.0',
    ]);
    const latest = entrySchema.parse((await house.send('GET', `${path}/latest`, { token: '' })).json);
    expect(latest.server.version).toBe('1.10.0');
    const older = entrySchema.parse((await house.send('GET', `${path}/1.9.0`, { token: '' })).json);
    expect(older._meta['io.modelcontextprotocol.registry/official'].isLatest).toBe(false);
    for (const absent of [`${path}/3.0.0`, '/v0.1/servers/com.example%2Foff/versions/latest'])
      expect((await house.send('GET', absent, { token: '' })).status).toBe(404);
  });

  it('can be read by any page, kept by its tag, and changed by nobody', async () => {
    const answer = await house.send('GET', '/v0.1/servers', { token: '' });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    const headers = { 'if-none-match': answer.headers.get('etag') ?? '' };
    expect((await house.send('GET', '/v0.1/servers', { token: '', headers })).status).toBe(304);
    const preflight = await house.send('OPTIONS', '/v0.1/servers/x/versions/latest', { token: '' });
    expect([preflight.status, preflight.headers.get('access-control-allow-methods')]).toEqual([
      204,
      'GET, OPTIONS',
    ]);
    expect((await house.send('POST', '/v0.1/servers', { body: {} })).status).toBe(405);
    const elsewhere = await house.send('GET', '/api/v1/mcp-types');
    expect(elsewhere.headers.get('access-control-allow-origin')).toBeNull();
  });
});
