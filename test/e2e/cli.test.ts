// The command line against a real supervisor, through bin/minimcp.js as people start it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceView } from '../../src/api/contract.ts';
import { connectSdk, run } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { root } from '../support/source.ts';

const bin = join(root, 'bin', 'minimcp.js');
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 8 });
});
afterAll(() => daemon.dispose());

interface Given {
  readonly env?: Record<string, string>;
  readonly input?: string;
}

function cli(args: readonly string[], given: Given = {}) {
  return run(process.execPath, [bin, ...args], {
    ...given,
    env: { HOME: daemon.dataDir, MINIMCP_DATA_DIR: daemon.dataDir, ...given.env },
  });
}

// biome-ignore lint/suspicious/noExplicitAny: what a document holds is what each test is about
async function json(args: readonly string[], given: Given = {}): Promise<any> {
  const { code, stdout, stderr } = await cli([...args, '--json'], given);
  if (code !== 0) throw new Error(`minimcp ${args.join(' ')} exited ${code}: ${stderr}${stdout}`);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

describe('the life of an instance', { timeout: 90_000 }, () => {
  it('is run, listed, shown, read, extended, stopped, restored, renamed by prefix, and removed', async () => {
    const made = await json(['run', 'everything', '--ttl', '5m', '--name', 'mine']);
    expect(made).toMatchObject({ name: 'mine', mcp_type: 'everything', status: 'running' });
    const client = await connectSdk(made);
    expect((await client.listTools()).tools.length).toBeGreaterThan(5);
    await client.close();

    expect((await json(['ls'])).map((instance: InstanceView) => instance.name)).toContain('mine');
    const { stdout: table } = await cli(['ls']);
    expect(table).toMatch(/^NAME.*\nmine +[0-9a-f-]{13} +everything +running +in 4m \d\ds/);
    expect((await cli(['show', made.id.slice(0, 13)])).stdout).toMatch(/status +running\n/);

    const extended = await json(['extend', 'mine', '--ttl', '20m']);
    expect(Date.parse(extended.expires_at)).toBeGreaterThan(Date.parse(made.expires_at));
    expect((await json(['stop', 'mine'])).status).toBe('disconnected');
    expect((await json(['restore', 'mine'])).status).toBe('running');
    expect(await json(['rm', 'mine'])).toEqual({ id: made.id, removed: true });
    expect((await cli(['show', 'mine'])).code).toBe(1);
  });

  it('shows its log, and follows it until Ctrl-C', async () => {
    const { id } = await json(['run', 'everything', '--ttl', '5m', '--name', 'talks']);
    await untilLines(id);
    const lines = await json(['logs', 'talks']);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.map((line: { timestamp: string }) => line.timestamp)).toEqual(
      lines.map((line: { timestamp: string }) => line.timestamp).sort(),
    );
    expect((await cli(['logs', 'talks'])).stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} (?:info|debug|warn) /);

    const following = spawn(process.execPath, [bin, 'logs', 'talks', '-f', '--json'], {
      env: { PATH: process.env.PATH, MINIMCP_DATA_DIR: daemon.dataDir },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const first = await firstLine(following);
    expect(JSON.parse(first)).toMatchObject({ level: expect.any(String), message: expect.any(String) });
    following.kill('SIGINT');
    const [code] = await once(following, 'exit');
    expect(code).toBe(0);
    await cli(['rm', 'talks']);
  });

  it('is put into clients, each time with a new token that works', async () => {
    const made = await json(['run', 'memory', '--ttl', '5m', '--name', 'notes']);
    const config = await json(['config', 'notes', '--client', 'vscode']);
    expect(config.document.servers.notes.url).toBe(made.access_url);
    expect(JSON.stringify(config)).not.toContain(made.access_token);

    const refused = await cli(['connect', 'notes', 'cursor']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('add --yes');
    const connected = await cli(['connect', 'notes', 'cursor', '--yes']);
    expect(connected.code).toBe(0);
    const file = JSON.parse(await readFile(join(daemon.dataDir, '.cursor', 'mcp.json'), 'utf8'));
    const token = file.mcpServers.notes.headers.Authorization.replace('Bearer ', '');
    expect(connected.stdout + connected.stderr).not.toContain(token);
    await (await connectSdk({ access_url: made.access_url, access_token: token })).close();
    await expect(connectSdk(made)).rejects.toThrow();
    expect((await cli(['disconnect', 'notes', 'cursor'])).stderr).toContain('add --yes');
    expect(
      await json(['disconnect', 'notes', 'vscode', '--yes']).catch((error: Error) => error.message),
    ).toMatch(/"notes" was not put into vscode from here/);
    const { stderr } = await cli(['disconnect', 'notes', 'cursor', '--yes']);
    expect(stderr).toContain('which was not there before');
    await expect(readFile(join(daemon.dataDir, '.cursor', 'mcp.json'))).rejects.toThrow('ENOENT');

    const missing = await cli(['connect', 'notes', 'claude-code', '--yes'], {
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(missing.stderr).toContain('claude cannot be run');
    // No new token was made for a client that is not there.
    await (await connectSdk({ access_url: made.access_url, access_token: token })).close();
    const path = join(daemon.dataDir, 'programs');
    await mkdir(path);
    await writeFile(join(path, 'claude'), `#!/bin/sh\nprintf '%s\\n' "$@" >> "${path}/said"\n`, {
      mode: 0o755,
    });
    const run = await cli(['connect', 'notes', 'claude-code', '--yes'], {
      env: { PATH: `${path}:/usr/bin:/bin` },
    });
    const said = (await readFile(join(path, 'said'), 'utf8')).split('\n');
    expect(said.slice(1, 8)).toEqual([
      'mcp',
      'add',
      '--transport',
      'http',
      'notes',
      made.access_url,
      '--header',
    ]);
    const last = said[8]?.replace('Authorization: Bearer ', '') ?? '';
    expect(run.stdout + run.stderr).not.toContain(last);
    await cli(['disconnect', 'notes', 'claude-code', '--yes'], { env: { PATH: `${path}:/usr/bin:/bin` } });
    expect((await readFile(join(path, 'said'), 'utf8')).trimEnd().split('\n').slice(-3)).toEqual([
      'mcp',
      'remove',
      'notes',
    ]);
    await (await connectSdk({ access_url: made.access_url, access_token: last })).close();
    await cli(['rm', 'notes']);
  });

  it('that cannot start exits 1 and says why', async () => {
    await cli(['keys', 'set', 'github', '--from-env', 'KEY'], { env: { KEY: 'ghp_x' } });
    const { code, stderr } = await cli(['run', 'no-such-type']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/unknown_type: "minimcp types ls"/);
    await cli(['keys', 'rm', 'github']);
  });
});

describe('the other commands', () => {
  it('the dashboard is opened by a link that logs in once', async () => {
    const link = await json(['dashboard']);
    expect(link.url).toMatch(/\/#\/login\?code=mml_[\w-]{43}$/);
    const { stdout, stderr } = await cli(['dashboard']);
    expect(stderr).toMatch(/^It works once and ends in (10m 00s|9m \d\ds)\.\n$/);
    const logIn = async (url: string) => {
      const answer = await fetch(`${daemon.url()}/api/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ login_code: url.trim().split('code=')[1] }),
      });
      return answer.status;
    };
    for (const url of [link.url, stdout]) expect([await logIn(url), await logIn(url)]).toEqual([201, 401]);
  });

  it('types are listed, shown, switched off and on', async () => {
    const types = await json(['types', 'ls']);
    expect(types.map((type: { name: string }) => type.name)).toEqual(
      expect.arrayContaining(['everything', 'filesystem', 'memory', 'github']),
    );
    expect((await cli(['types', 'show', 'github'])).stdout).toContain('GITHUB_PERSONAL_ACCESS_TOKEN');
    expect((await json(['types', 'disable', 'memory'])).is_active).toBe(false);
    expect((await cli(['run', 'memory'])).stderr).toContain('type_disabled');
    expect((await json(['types', 'enable', 'memory'])).is_active).toBe(true);
  });

  it('keys go in by standard input or variable, and never come out', async () => {
    const secret = 'ghp_0123456789abcdef';
    for (const given of [{ input: `${secret}\n` }, { env: { KEY: secret } }]) {
      const args = ['keys', 'set', 'github', ...('env' in given ? ['--from-env', 'KEY'] : [])];
      const { code, stdout, stderr } = await cli(args, given);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).not.toContain(secret);
    }
    expect(JSON.stringify(await json(['keys', 'ls']))).not.toContain(secret);
    expect((await cli(['keys', 'rm', 'github'])).code).toBe(0);
    expect((await cli(['run', 'github'])).stderr).toContain('api_key_required');
  });

  it('a user gets a token, sees their own, and is locked out', async () => {
    const user = await json(['users', 'add', 'ann@example.test', '--name', 'Ann', '--max-instances', '0']);
    expect(user).toMatchObject({ role: 'user', max_instances: 0 });
    const { api_token: token } = await json(['tokens', 'add', 'laptop', '--user', 'ann@example.test']);
    const as = { env: { MINIMCP_TOKEN: token } };
    expect(await json(['ls'], as)).toEqual([]);
    expect((await cli(['run', 'memory'], as)).code).toBe(75);
    expect((await cli(['users', 'ls'], as)).stderr).toContain('forbidden');
    expect((await json(['tokens', 'ls'], as)).map((entry: { name: string }) => entry.name)).toEqual([
      'laptop',
    ]);
    const exported = (await cli(['users', 'export'], as)).stdout.trimEnd().split('\n');
    expect(JSON.parse(exported[1] ?? '')).toMatchObject({
      kind: 'user',
      data: { email: 'ann@example.test' },
    });
    expect(JSON.parse(exported.at(-1) ?? '').kind).toBe('end');
    await json(['users', 'disable', 'ann@example.test']);
    expect((await cli(['ls'], as)).stderr).toContain('unauthorized');
    expect((await cli(['users', 'erase', 'ann@example.test'])).stderr).toContain('--yes');
    expect(await json(['users', 'erase', 'ann@example.test', '--yes'])).toEqual({
      id: user.id,
      erased: true,
    });
    expect((await cli(['users', 'export', user.id])).code).toBe(1);
  });

  it('ports, events, settings and the key ring are shown', async () => {
    expect((await json(['ports'])).length).toBe(8);
    expect((await json(['events', '-n', '5'])).length).toBe(5);
    expect((await json(['settings', 'get', 'mcp.default_duration_minutes'])).value).toBe(60);
    expect((await json(['settings', 'set', 'mcp.default_duration_minutes', '45'])).value).toBe(45);
    expect((await json(['keyring', 'ls'])).length).toBe(1);
    for (const args of [
      ['ports'],
      ['events'],
      ['settings', 'get'],
      ['keyring', 'ls'],
      ['users', 'ls'],
      ['types', 'ls'],
    ]) {
      expect((await cli(args)).code).toBe(0);
    }
  });

  it('doctor looks at everything and finds the daemon itself no fault', async () => {
    const { stdout } = await cli(['doctor', '--json'], { env: { DATABASE_URL: daemon.database.url } });
    const { checks } = JSON.parse(stdout);
    const names = checks.map((check: { name: string }) => check.name);
    expect(names).toEqual(
      expect.arrayContaining([
        'Node',
        'platform',
        'data directory',
        'master keys',
        'database',
        'API port',
        'isolation',
      ]),
    );
    const failed = checks.filter(
      (check: { state: string; name: string }) => check.state === 'fail' && check.name !== 'API port',
    );
    expect(failed).toEqual([]);
  });

  it('doctor finds the same isolation under the umask of a hardened machine', async () => {
    // Before the first start: what it needs to look it makes itself.
    const dataDir = `${daemon.dataDir}-none`;
    const levelUnder = async (umask: string): Promise<unknown> => {
      const line = `umask ${umask}; exec "$0" "$@"`;
      const env = { PATH: process.env.PATH ?? '', HOME: daemon.dataDir, MINIMCP_DATA_DIR: dataDir };
      const args = ['-c', line, process.execPath, bin, 'doctor', '--json'];
      const { stdout } = await run('/bin/sh', args, { env: { ...env, DATABASE_URL: daemon.database.url } });
      // It tries in a directory of its own each time, and a group is named after that.
      const { checks } = JSON.parse(stdout.replaceAll(/minimcp-[0-9a-f]{8}/g, 'minimcp-GROUP'));
      return checks.find((check: { name: string }) => check.name === 'isolation');
    };
    expect(await levelUnder('077')).toEqual(await levelUnder('022'));
  });
});

async function untilLines(id: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { body } = await daemon.call<unknown[]>('GET', `/instances/${id}/logs`);
    if (body.data.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return text.slice(0, text.indexOf('\n'));
}
