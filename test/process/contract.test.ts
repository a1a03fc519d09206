// The contract between supervisor and shim, both ways and over versions: what was recorded of an older side is played to
// today's other side, and a shim of a newer contract is left to serve until its lease ends, and said to be one.
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examine } from '../../src/daemon/doctor.ts';
import { bundleDir } from '../../src/runtime/bundle-names.ts';
import { connectShim } from '../../src/runtime/shim-client.ts';
import { readExit, readRecord } from '../../src/runtime/state-files.ts';
import {
  bundleFiles,
  type ControlRequest,
  contractVersion,
  type LaunchSpec,
  type SpoolLine,
} from '../../src/shim/contract.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { processesOf, rowOf, serves, untilRow } from '../support/gated.ts';
import { untilPromisesHold } from '../support/promises.ts';
import { startShim } from '../support/shim-harness.ts';
import { ownShim } from '../support/store.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const recordings = join(import.meta.dirname, '../fixtures/shim-contract');
const fixture = join(import.meta.dirname, '../fixtures/mcp-child.ts');
const versions = readdirSync(recordings).filter((name) => name.startsWith('v'));
const instanceId = '01939c2e-7d5c-7aaa-8000-000000000001';

type Said = { readonly from: 'supervisor' | 'shim'; readonly line: Record<string, unknown> };

function textOf(version: string, name: string): string {
  return readFileSync(join(recordings, version, name), 'utf8');
}

function linesOf<Line>(version: string, name: string): Line[] {
  const lines = textOf(version, name).split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Line);
}

/** The names and types in a document, which is what a reader relies on; values differ from run to run. */
function shapeOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return expect.any(Object(value).constructor);
  const known = Object.entries(value).filter(([, one]) => one !== null);
  return expect.objectContaining(Object.fromEntries(known.map(([name, one]) => [name, shapeOf(one)])));
}

describe.each(versions)('contract %s', (version) => {
  const conversation = linesOf<Said>(version, 'control.ndjson');

  it('as the supervisor of then spoke it is understood by the shim of now', async () => {
    const told = JSON.parse(textOf(version, 'launch.json')) as LaunchSpec;
    const { bundleDir: _dir, listen: _listen, tokenSha256: _token, child, ...spec } = told;
    const { command: _command, args: _args, cwd: _cwd, env: _env, ...kept } = child;
    await using shim = await startShim({ child: { ...kept, args: [fixture] }, spec });
    const control = await shim.control();
    for (const [at, { from, line }] of conversation.entries()) {
      if (from === 'shim') continue;
      const { id, ...request } = line;
      const reply = await control.request(request);
      const recorded = conversation.slice(at).find((said) => said.from === 'shim' && said.line.id === id);
      const { id: _id, ...answer } = recorded?.line ?? {};
      // The one connection has said hello before the recording begins, so only that refusal is not repeated.
      if ('error' in answer && line.method !== 'hello') continue;
      expect(reply, JSON.stringify(line)).toEqual(shapeOf(answer));
    }
    expect(await shim.exit).toEqual(shapeOf(JSON.parse(textOf(version, 'exit.json'))));
    const [first] = linesOf<SpoolLine>(version, 'spool.ndjson');
    expect(shim.log()[0]).toEqual(shapeOf(first));
  });

  it('as the shim of then spoke it is understood by the supervisor of now', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'minimcp-contract-'));
    const name = { instanceId, generation: 1 };
    const bundle = bundleDir(dataDir, name);
    mkdirSync(bundle, { recursive: true });
    const uid = process.getuid?.() ?? 0;
    for (const [file, as] of [
      ['shim.json', bundleFiles.identity],
      ['exit.json', bundleFiles.exit],
    ] as const) {
      writeFileSync(join(bundle, as), textOf(version, file));
    }
    expect(await readRecord(dataDir, name)).toMatchObject({ ...name, contract: Number(version.slice(1)) });
    expect(await readExit(dataDir, name, uid)).toEqual(JSON.parse(textOf(version, 'exit.json')));

    // Each request is answered with what was answered to its like, byte for byte but for the id.
    const answers = conversation.filter(
      ({ from, line }) => from === 'shim' && 'state' in line && 'id' in line,
    );
    const requests = conversation.filter(({ from }) => from === 'supervisor').map(({ line }) => line);
    const server = createServer((socket) => {
      socket.on('data', (chunk) => {
        for (const text of chunk.toString().split('\n').filter(Boolean)) {
          const { id, method } = JSON.parse(text) as ControlRequest;
          const like = requests.findLast((request) => request.method === method);
          const answer = answers.find(({ line }) => line.id === like?.id);
          socket.write(`${JSON.stringify({ ...answer?.line, id })}\n`);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(join(bundle, bundleFiles.controlSocket), resolve));
    try {
      const client = await connectShim({ ...name, bundleDir: bundle, uid, epoch: 1, onNews: () => {} });
      expect(client.first).toMatchObject({ ...name, phase: 'running' });
      const lease = { remainingMs: 1, expiresAt: new Date().toISOString() };
      await expect(client.ask({ method: 'state' })).resolves.toMatchObject({ phase: 'running' });
      await expect(client.ask({ method: 'deadline', lease })).resolves.toBeDefined();
      await expect(client.ask({ method: 'token', tokenSha256: 'ab'.repeat(32) })).resolves.toBeDefined();
      const stopped = client.ask({ method: 'stop', reason: 'user', drainMs: 0, graceMs: 0 });
      await expect(stopped).resolves.toMatchObject({ phase: 'stopping' });
      client.close();
    } finally {
      server.close();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});

it('of another version is refused by the shim in words the supervisor knows', async () => {
  await using shim = await startShim({ child: { args: [fixture] } });
  const control = await shim.control();
  const reply = await control.request({ method: 'hello', contract: contractVersion + 1, epoch: 1 });
  expect(reply).toMatchObject({
    error: { code: 'contract', message: expect.stringContaining(`${contractVersion}`) },
  });
});

describe('a shim of a newer contract', () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await startDaemon();
    await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy' });
    await speakNewerWhenTold(daemon);
  });
  afterAll(() => daemon.dispose());

  it('serves until its lease ends, is said to be one, and is then ended for certain', async () => {
    const instance = await daemon.create({ mcp_type: 'tiny', duration_minutes: 30 });
    const before = await rowOf(daemon, instance.id);
    const { shim } = processesOf(before);
    // A newer version took over, launched this generation, and was then replaced by the older one.
    await daemon.kill9();
    becomeNewer(daemon, instance.id);
    await daemon.start();

    expect(await serves(instance)).toBe(true);
    // A sweep of health and a pass of reconciliation later it still does.
    const row = await untilRow(daemon, instance.id, ({ health }) => health === 'unresponsive');
    expect(row).toMatchObject({ status: 'running', generation: 1, handle: before.handle });
    expect((await daemon.get(instance.id)).error_message).toMatch(/another version.*contract 2/);
    expect(daemon.output.filter((line) => /refuses this supervisor/.test(line))).toHaveLength(1);
    await daemon.kill9();
    await daemon.start();
    expect(await serves(instance)).toBe(true);
    expect(processesOf(await rowOf(daemon, instance.id)).shim).toBe(shim);

    const checks = await examine({ MINIMCP_DATA_DIR: daemon.dataDir, DATABASE_URL: daemon.database.url });
    expect(checks.find(({ name }) => name === 'shims')).toMatchObject({
      state: 'warn',
      detail: expect.stringContaining(instance.id),
      remedy: expect.stringContaining('restart'),
    });

    await daemon.database.db.query('UPDATE mcp_instances SET expires_at = clock_timestamp() WHERE id = $1', [
      instance.id,
    ]);
    expect(await daemon.until(instance.id, 'expired')).toMatchObject({ assigned_port: null });
    await untilPromisesHold(daemon);
  }, 90_000);

  it('is brought to this version by a restart', async () => {
    const instance = await daemon.create({ mcp_type: 'tiny', duration_minutes: 30 });
    await daemon.kill9();
    becomeNewer(daemon, instance.id);
    await daemon.start();
    const restarted = await daemon.call('POST', `/instances/${instance.id}/restart`);
    expect(restarted.body.data).toMatchObject({ status: 'running', generation: 2, error_message: null });
    await untilRow(daemon, instance.id, ({ health }) => health === 'healthy');
    expect(await serves(instance)).toBe(true);
    await untilPromisesHold(daemon);
  }, 90_000);
});

/** The daemon's shim, changed so that it refuses our contract once the file `newer` lies in its bundle. */
async function speakNewerWhenTold({ dataDir }: Daemon): Promise<void> {
  const file = await ownShim(dataDir);
  const text = readFileSync(file, 'utf8');
  const changed = text.replace(
    /if\(request\.contract!==\d+\)return\{code:"contract",message:`[^`]*`\}/,
    'if(require("node:fs").existsSync("newer"))return{code:"contract",message:"this shim speaks contract 2"}',
  );
  if (changed === text) throw new Error('the shim looks other than this test expects');
  writeFileSync(file, changed);
}

/** From now on its shim speaks contract 2 only, and its record says so, as one written by a newer supervisor would. */
function becomeNewer({ dataDir }: Daemon, id: string): void {
  const dir = bundleDir(dataDir, { instanceId: id, generation: 1 });
  writeFileSync(join(dir, 'newer'), '');
  if (process.getuid?.() === 0) chownSync(join(dir, 'newer'), 0, 0);
  const file = join(dir, bundleFiles.identity);
  writeFileSync(
    file,
    JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), contract: 2, news: 'unknown here' }),
  );
}
