// One whole life with keys that look like nothing else: stored, launched, printed by their server in every spelling and
// in pieces, rolled, refused, crashed with, in requests that fail, in a supervisor that dies. Afterwards they are looked
// for in the database, the server's statement log and files, spools, every file, every answer, and every process.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken, LogLineView, StoredApiKeyView } from '../../src/api/contract.ts';
import { dumpOf, lookFor, lookInFiles, lookInProcesses, spellingsOf } from '../support/canary.ts';
import { type Answer, type Daemon, startDaemon } from '../support/daemon.ts';
import { connectLegacy, type LegacyClient } from '../support/mcp-http.ts';
import { type OwnDatabase, ownDatabase } from '../support/own-database.ts';
import { ourProcesses, untilPromisesHold } from '../support/promises.ts';
import { until } from '../support/shim-harness.ts';
import { root } from '../support/source.ts';
import { addProgramType } from '../support/types.ts';

/** Random, so that no spelling of one stands in another or in anything else; with what each spelling writes otherwise. */
const newKey = (prefix: string): string =>
  `${prefix}-${randomBytes(9).toString('hex')}+/"\\<&=%~ é漢😀-${randomBytes(9).toString('hex')}`;
const keys = {
  first: newKey('first'),
  second: newKey('second'),
  refused: newKey('refused'),
  dies: newKey('dies'),
  asked: newKey('asked'),
};

/** Says its key in every spelling, five bytes a write, in its log, in its name, in what is no MCP, and as it dies. */
const leakyServer = `
  import { createInterface } from 'node:readline';
  const key = process.env.LEAKY_KEY;
  const json = JSON.stringify(key).slice(1, -1);
  const ascii = json.replace(/[^ -~]/g, (char) => '\\\\u' + char.charCodeAt(0).toString(16).padStart(4, '0'));
  const percent = encodeURIComponent(key);
  const spellings = [key, json, ascii, ascii.replace(/\\\\u..../g, (code) => '\\\\u' + code.slice(2).toUpperCase()),
    JSON.stringify(json), JSON.stringify({ deep: JSON.stringify({ key }) }), percent,
    percent.replace(/%../g, (code) => code.toLowerCase()), new URLSearchParams({ key }).toString(),
    Buffer.from(key).toString('hex'), Buffer.from(key).toString('hex').toUpperCase(),
    ...['', 'x', 'xy', 'user:'].flatMap((before) => ['base64', 'base64url'].map((as) => Buffer.from(before + key + 'z').toString(as)))];
  const inPieces = async (stream, text) => {
    const bytes = Buffer.from(text + '\\n');
    for (let at = 0; at < bytes.length; at += 5) await new Promise((done) => stream.write(bytes.subarray(at, at + 5), done));
  };
  const everything = async (stream) => { for (const one of spellings) await inPieces(stream, 'leaks ' + one + ' here'); };
  if (key.startsWith('dies') || key.startsWith('refused')) {
    await everything(process.stderr);
    throw new Error('cannot work with ' + key);
  }
  const answer = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
  const serverInfo = { name: 'leaky ' + key, version: percent };
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const { id, method, params } = JSON.parse(line);
    if (method === 'initialize') answer({ id, result: { protocolVersion: '2025-06-18', capabilities: { tools: {}, logging: {} }, serverInfo } });
    else if (method === 'tools/list') answer({ id, result: { tools: [] } });
    else if (params?.name === 'leak') {
      await everything(process.stderr);
      await everything(process.stdout);
      process.stderr.write('x'.repeat(70_000) + key + '\\n' + 'y'.repeat(65_500) + key + '\\n');
      process.stderr.write('the last of it\\n');
      answer({ id, result: { content: [] } });
    } else if (params?.name === 'crash') setTimeout(() => { throw new Error('fails knowing ' + key); });
    else if (id !== undefined) answer({ id, error: { code: -32000, message: 'no' } });
  }).on('close', () => process.exit(0));`;

let database: OwnDatabase;
let daemon: Daemon;
const answers: string[] = [];
beforeAll(async () => {
  database = await ownDatabase({
    log_statement: 'all',
    log_min_error_statement: 'error',
    log_parameter_max_length_on_error: '-1',
    log_min_duration_statement: '0',
  });
  const thrower = join(root, 'test', 'fixtures', 'throw-on-signal.cjs');
  daemon = await startDaemon({
    database,
    env: { MINIMCP_LOG_LEVEL: 'trace', NODE_OPTIONS: `--require ${thrower}` },
  });
  await addProgramType(daemon, 'leaky', leakyServer);
  await database.db.query(`UPDATE mcp_types SET key_variable = 'LEAKY_KEY' WHERE name = 'leaky'`);
}, 120_000);
afterAll(async () => {
  await daemon.dispose();
  await database.dispose();
});

async function call<T = unknown>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const answer = await daemon.call<T>(method, path, body);
  answers.push(JSON.stringify([answer.status, [...answer.headers], answer.body]));
  return answer;
}

const put = async (key: string, roll = false): Promise<StoredApiKeyView['roll']> =>
  (await call<StoredApiKeyView>('PUT', '/api-keys/leaky', { api_key: key, roll })).body.data.roll;
const logOf = async (id: string): Promise<LogLineView[]> =>
  (await call<LogLineView[]>('GET', `/instances/${id}/logs?limit=1000`)).body.data;
const logged = (id: string, part: string): Promise<true> =>
  until(
    async () => ((await logOf(id)).some(({ message }) => message.includes(part)) ? true : undefined),
    part,
    20_000,
  );
const clientOf = ({ access_url: url, access_token: token }: InstanceWithToken): Promise<LegacyClient> =>
  connectLegacy({ url: String(url), token });
const run = (): Promise<InstanceWithToken> =>
  daemon.create({ mcp_type: 'leaky', duration_minutes: 5, name: `leaky-${randomBytes(3).toString('hex')}` });

/** Requests that fail and carry a key. */
async function failingRequests(): Promise<void> {
  const { asked } = keys;
  const wrong: [string, string, unknown][] = [
    ['PUT', '/api-keys/leaky', `{"api_key": ${JSON.stringify(asked)}`],
    ['PUT', '/api-keys/leaky', { api_key: [asked] }],
    ['PUT', '/api-keys/leaky', { api_key: asked, expires_at: '2001-01-01T00:00:00Z' }],
    ['PUT', '/api-keys/leaky', { api_key: asked, [asked.slice(0, 8)]: 1 }],
    ['PUT', '/api-keys/leaky', { api_key: asked.repeat(200) }],
    ['PUT', '/api-keys/none-such', { api_key: asked }],
    ['PUT', '/api-keys/memory', { api_key: asked }],
    ['POST', '/instances', { mcp_type: 'leaky', config: { environment: { LEAKY_KEY: asked } } }],
    ['POST', '/instances', { mcp_type: 'leaky', config: asked }],
  ];
  for (const [method, path, body] of wrong)
    expect((await call(method, path, body)).status, JSON.stringify([method, path])).toBeGreaterThanOrEqual(
      400,
    );
}

/** Kills the supervisor by an error of its own while it waits for the database to store a key. */
async function supervisorCrash(): Promise<void> {
  await database.db.tx(async (tx) => {
    await tx.query('LOCK TABLE api_keys');
    const storing = put(keys.second).catch(() => undefined);
    await until(async () => {
      const waiting = await database.db.query(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'api_keys'`,
      );
      return waiting.length > 0 ? true : undefined;
    }, 'the supervisor to wait');
    const pid = daemon.pid();
    process.kill(pid, 'SIGUSR2');
    await storing;
    await until(
      () => (daemon.output.some((line) => line.includes('told to fail')) ? true : undefined),
      'its last words',
    );
  });
  // Its last words are there before its end is known.
  await daemon.kill9();
  await daemon.start();
}

describe('keys through a whole life', () => {
  it('are nowhere but in the processes that need them', async () => {
    await put(keys.first);
    const instance = await run();
    await (await clientOf(instance)).call('leak');
    await logged(instance.id, 'the last of it');
    expect(await put(keys.second, true)).toMatchObject({ moved: [instance.id] });
    await (await clientOf(instance)).call('leak');
    expect(await put(keys.refused, true)).toMatchObject({
      kept: [instance.id],
      refused: [{ code: 'key_not_proved' }],
    });
    await put(keys.second, true);
    await (await clientOf(instance)).call('crash');
    await logged(instance.id, 'fails knowing');
    await put(keys.dies);
    const dead = await run();
    expect(await daemon.get(dead.id)).toMatchObject({ status: 'error' });
    await put(keys.second);
    await failingRequests();
    await supervisorCrash();
    const alive = await until(() => clientOf(instance).catch(() => undefined), 'the restart');
    await alive.call('leak');

    // It is known where they are: in the server's own environment, and nowhere in a command line.
    const look = lookFor(Object.values(keys));
    const ours = ourProcesses(daemon.dataDir).filter(({ instanceId }) => instanceId === instance.id);
    const { cmdline, environ } = lookInProcesses(look);
    expect(cmdline).toEqual([]);
    expect(environ.length).toBeGreaterThan(0);
    const holders = ours.filter(({ pid }) => environ.includes(pid));
    expect(environ.sort()).toEqual(holders.map(({ pid }) => pid).sort());
    expect(
      holders.every(({ generation }) => generation === undefined),
      'no shim holds one',
    ).toBe(true);

    for (const path of ['', '/logs', '/logs/export?format=csv', '/events'])
      await call('GET', `/instances/${instance.id}${path}`);
    for (const path of [
      `/instances/${dead.id}`,
      `/instances/${dead.id}/logs`,
      '/events?limit=200',
      '/api-keys',
      '/metrics',
    ])
      await call('GET', path);
    for (const path of [`/instances/${instance.id}/logs/export?format=ndjson`, '/me/export']) {
      const headers = { authorization: `Bearer ${daemon.adminToken}` };
      answers.push(await (await fetch(`${daemon.url()}/api/v1${path}`, { headers })).text());
    }
    const lines = [...(await logOf(instance.id)), ...(await logOf(dead.id))];
    const redacted = lines.filter(
      ({ message }) => message.startsWith('leaks ') && message.includes('[redacted]'),
    );
    expect(redacted.length).toBeGreaterThan(4 * Object.keys(spellingsOf('x')).length);
    expect(look(Buffer.from(JSON.stringify(lines)))).toEqual([]);

    const found = {
      answers: answers.flatMap((text) =>
        look(Buffer.from(text)).map((what) => `${text.slice(0, 200)}: ${what}`),
      ),
      output: look(Buffer.from(daemon.output.join('\n'))),
      dump: look(Buffer.from(await dumpOf(database))),
      files: lookInFiles(daemon.dataDir, look).found,
      server: lookInFiles(database.dir, look).found,
    };
    expect(found).toEqual({ answers: [], output: [], dump: [], files: [], server: [] });

    // And it is known that looking finds what is there.
    const marker = lookFor([instance.id]);
    expect(marker(Buffer.from(await dumpOf(database)))).toContain('secret 1: plain');
    const where = [...lookInFiles(daemon.dataDir, marker).found, ...lookInFiles(database.dir, marker).found];
    expect(
      where.some((one) => /\.log: |\/log\//.test(one)),
      where.slice(0, 20).join('\n'),
    ).toBe(true);

    await call('DELETE', `/instances/${instance.id}`);
    await call('DELETE', `/instances/${dead.id}`);
    await untilPromisesHold(daemon);
    expect(lookInFiles(daemon.dataDir, look).found).toEqual([]);
    expect(look(Buffer.from(await dumpOf(database)))).toEqual([]);
  }, 240_000);
});
