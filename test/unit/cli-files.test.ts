// How an instance is put into clients' files beside what is there, and which files are left alone.
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clientFile, readPlan, writePlan } from '../../src/cli/client-files.ts';
import { type ClientName, clientConfig } from '../../src/domain/client-config.ts';

const target = { name: 'notes', url: 'http://127.0.0.1:3001/mcp', token: 'mcp_secret' };
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minimcp-files-'));
});
afterEach(() => rm(home, { recursive: true }));

function fileOf(client: ClientName): string {
  return clientFile(client, { home, cwd: home, platform: 'linux' }) ?? '';
}

async function put(client: ClientName, name = target.name): Promise<string> {
  const config = clientConfig(client, { ...target, name });
  await writePlan(await readPlan(fileOf(client), config), config);
  return readFile(fileOf(client), 'utf8');
}

it('writes a file for its owner only, and leaves no draft', async () => {
  expect(JSON.parse(await put('cursor'))).toEqual(clientConfig('cursor', target).document);
  const { mode } = await stat(fileOf('cursor'));
  expect(mode & 0o777).toBe(0o600);
  expect(await readdir(join(home, '.cursor'))).toEqual(['mcp.json']);
});

it('keeps what is there, and replaces only its own', async () => {
  await put('vscode');
  const before = JSON.parse(await readFile(fileOf('vscode'), 'utf8'));
  before.servers.other = { command: 'x' };
  before.inputs.unshift({ id: 'mine' });
  before.extra = true;
  await writeFile(fileOf('vscode'), JSON.stringify(before));
  await put('vscode');
  const after = JSON.parse(await put('vscode', 'second'));
  expect(Object.keys(after.servers)).toEqual(['notes', 'other', 'second']);
  expect(after.inputs.map((input: { id: string }) => input.id)).toEqual(['mine', 'mm-notes', 'mm-second']);
  expect(after.extra).toBe(true);
});

it('adds to TOML, and refuses to take an entry of the same name apart', async () => {
  await put('codex');
  const text = await put('codex', 'second');
  expect(text).toMatch(/^\[mcp_servers\.notes\]\n[^[]+\n\n\[mcp_servers\.second\]\n/);
  await expect(put('codex')).rejects.toMatchObject({ code: 'illegal_in_status' });
  expect(await readFile(fileOf('codex'), 'utf8')).toBe(text);
});

it.each(['not json', '[1]', '{"a": 1} // and a comment', '"text"'])(
  'leaves a file alone that holds %j',
  async (content) => {
    const file = join(home, '.mcp.json');
    await writeFile(file, content);
    await expect(put('claude-code-json')).rejects.toMatchObject({ code: 'illegal_in_status' });
    expect(await readFile(file, 'utf8')).toBe(content);
  },
);
