// How an instance is put into clients' files beside what is there, how it is taken out again, and which files are left
// alone.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientFile, readPlan, writePlan } from '../../src/cli/client-files.ts';
import {
  applyUndo,
  changeOf,
  connectionsDir,
  forget,
  keepBackup,
  planUndo,
  readConnections,
  writeRecord,
} from '../../src/cli/connections.ts';
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

describe('taken out again', () => {
  const stateDir = (): string => connectionsDir({}, home);

  /** As `connect` does it. */
  async function connect(client: ClientName, name: string): Promise<void> {
    const config = clientConfig(client, { ...target, name });
    const plan = await readPlan(fileOf(client), config);
    const record = await keepBackup(stateDir(), client, name, plan);
    const change = changeOf(plan, config, await writePlan(plan, config));
    await writeRecord(record, { client, name, instance_id: name, connected_at: '', change });
  }

  /** As `disconnect` does it: the last change under that name. */
  async function disconnect(name: string): Promise<boolean> {
    const found = (await readConnections(stateDir())).find(({ connection }) => connection.name === name);
    const change = found?.connection.change;
    if (found === undefined || change === undefined) throw new Error(`no record of ${name}`);
    const undo = await planUndo(change, found.backup);
    await applyUndo(change, undo);
    await forget(found);
    return undo.untouched;
  }

  const read = (client: ClientName): Promise<string> => readFile(fileOf(client), 'utf8');
  const write = async (client: ClientName, text: string): Promise<void> => {
    await mkdir(dirname(fileOf(client)), { recursive: true });
    await writeFile(fileOf(client), text);
  };

  /** Each client that has a file, with something of the user's own in it, oddly written. */
  const before: readonly (readonly [ClientName, string])[] = [
    ['claude-code-json', '{"mcpServers":   {"mine": {"command": "x"}}}'],
    ['claude-desktop', '{"theme": "dark"}\n'],
    ['cursor', '{\n\t"mcpServers": {"mine": {"url": "http://h/"}}\n}'],
    ['vscode', '{"servers": {}, "inputs": [{"id": "mine"}]}'],
    ['codex', 'model = "o3"\n\n[mcp_servers.mine]\ncommand = "x"'],
    ['goose', 'GOOSE_MODEL: x\nextensions:\n  mine:\n    enabled: true\nkeyring: false\n'],
    ['windsurf', '{}'],
    ['cline', ''],
    ['roo', '{"mcpServers": {}}'],
    ['opencode', '{"mcp": {"mine": {"type": "local"}}, "model": "x"}'],
  ];

  it.each(before)('%s: what was there is back to the byte, and nothing is kept', async (client, text) => {
    await write(client, text);
    await connect(client, 'notes');
    expect(await read(client)).not.toBe(text);
    expect(await disconnect('notes')).toBe(true);
    expect(await read(client)).toBe(text);
    expect(await readdir(stateDir())).toEqual([]);
  });

  it.each(before)('%s: a file that was not there is gone', async (client) => {
    await connect(client, 'notes');
    await disconnect('notes');
    await expect(stat(fileOf(client))).rejects.toThrow('ENOENT');
  });

  it.each(before)('%s: of two, the first goes and the second stays, whole', async (client, text) => {
    await write(client, text);
    await connect(client, 'second');
    const withSecond = await read(client);
    await write(client, text);
    await connect(client, 'notes');
    await connect(client, 'second');
    expect(await disconnect('notes')).toBe(false);
    const after = await read(client);
    if (clientConfig(client, target).format === 'json')
      expect(JSON.parse(after)).toEqual(JSON.parse(withSecond));
    else
      expect(after.split('\n').filter(Boolean).sort()).toEqual(withSecond.split('\n').filter(Boolean).sort());
    expect(after).not.toContain('notes');
  });

  it.each(before)('%s: an entry that was changed is left alone', async (client) => {
    await connect(client, 'notes');
    const changed = (await read(client)).replace(target.url, 'http://127.0.0.1:9/mcp');
    await write(client, changed);
    await expect(disconnect('notes')).rejects.toMatchObject({ code: 'illegal_in_status' });
    expect(await read(client)).toBe(changed);
  });

  it('an entry that ours took the place of comes back', async () => {
    const mine = { url: 'http://mine/' };
    await write('cursor', JSON.stringify({ mcpServers: { notes: mine } }));
    await connect('cursor', 'notes');
    const there = JSON.parse(await read('cursor'));
    await write('cursor', JSON.stringify({ ...there, more: 1 }));
    expect(await disconnect('notes')).toBe(false);
    expect(JSON.parse(await read('cursor'))).toEqual({ mcpServers: { notes: mine }, more: 1 });
  });

  it('the copy and the record are for their owner only', async () => {
    await write('cursor', '{"a": 1}');
    await connect('cursor', 'notes');
    expect((await stat(stateDir())).mode & 0o777).toBe(0o700);
    const kept = await readdir(stateDir());
    expect(kept.map((name) => name.replace(/^\w+-/, '')).sort()).toEqual([
      'cursor-notes.backup',
      'cursor-notes.json',
    ]);
    for (const name of kept) expect((await stat(join(stateDir(), name))).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['extensions: [a]\n'],
    ['extensions:\n    mine:\n        enabled: true\n'],
    ['extensions:\n  notes:\n    enabled: true\n'],
  ])('goose: %j is not added to', async (text) => {
    await write('goose', text);
    await expect(put('goose')).rejects.toMatchObject({ code: 'illegal_in_status' });
    expect(await read('goose')).toBe(text);
  });

  it.each([['mcp_servers = {}\n'], ['[mcp_servers."notes"]\nurl = "x"\n']])(
    'codex: %j is not added to',
    async (text) => {
      await write('codex', text);
      await expect(put('codex')).rejects.toMatchObject({ code: 'illegal_in_status' });
    },
  );
});
