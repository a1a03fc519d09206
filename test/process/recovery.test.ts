// What a supervisor finds when it starts: state files that were forged, torn or swapped, bundles without a row and rows
// without a bundle, pids that belong to somebody else by now, and shims that do not answer. It believes what it can
// prove, signals nothing else, and is ready in seconds.
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import type { Instance } from '../../src/domain/instance.ts';
import { identify, isSame } from '../../src/runtime/process-identity.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  ask,
  processesOf,
  refusesConnections,
  request,
  rowOf,
  servesWithin,
  signalAll,
  untilRow,
} from '../support/gated.ts';
import { untilPromisesHold } from '../support/promises.ts';
import { addProgramType, answersThen } from '../support/types.ts';

const isRoot = process.getuid?.() === 0;
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 20 });
  await daemon.call('PUT', '/settings/mcp.max_instances_per_user', { value: 1_000 });
  await addProgramType(daemon, 'tiny', answersThen(''), { era: 'legacy', start_timeout_seconds: 60 });
}, 60_000);
afterAll(() => daemon?.dispose());
afterEach(async () => {
  const rows = await daemon.database.db.query<{ id: string }>(
    'SELECT id FROM mcp_instances WHERE deleted_at IS NULL',
  );
  await Promise.all(rows.map(({ id }) => ask(daemon, 'DELETE', `/instances/${id}`)));
  await untilPromisesHold(daemon);
}, 60_000);

async function run(): Promise<InstanceWithToken> {
  const instance = await request(daemon, { mcp_type: 'tiny', duration_minutes: 30 });
  await untilRow(daemon, instance.id, ({ status }) => status === 'running');
  return instance;
}

const bundle = (id: string, generation = 1): string =>
  join(daemon.dataDir, 'instances', id, String(generation));
const record = (id: string): string => join(bundle(id), 'shim.json');

/** Something alive that is nobody's business. */
async function stranger(): Promise<{ pid: number; lives(): boolean; [Symbol.dispose](): void }> {
  const child = spawn('sleep', ['300'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const pid = child.pid ?? -1;
  const identity = identify(pid);
  return {
    pid,
    lives: () => identity !== undefined && isSame(identity),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

describe('state files', () => {
  const spoilt: Readonly<Record<string, (path: string) => void>> = {
    'a link to another file': (path) => {
      renameSync(path, `${path}.real`);
      symlinkSync(`${path}.real`, path);
    },
    'a second name of another file': (path) => linkSync(path, `${path}.other`),
    torn: (path) => truncateSync(path, 40),
    'of another generation': (path) =>
      writeFileSync(path, readFileSync(path, 'utf8').replace('"generation":1', '"generation":2')),
    'a pipe': (path) => {
      rmSync(path);
      execFileSync('mkfifo', [path]);
    },
    ...(isRoot ? { 'of another user': (path: string) => chownSync(path, 4_242, 4_242) } : {}),
  };

  it('that cannot be believed are as good as absent: the row proves the same processes', async () => {
    const instances = await Promise.all(Object.keys(spoilt).map(run));
    const before = await Promise.all(instances.map(({ id }) => rowOf(daemon, id)));
    await daemon.kill9();
    for (const [at, spoil] of Object.values(spoilt).entries()) spoil(record(instances[at]?.id ?? ''));
    await daemon.start();
    for (const [at, word] of Object.keys(spoilt).entries()) {
      const now = await rowOf(daemon, instances[at]?.id ?? '');
      expect(now, word).toMatchObject({ status: 'running', generation: 1, handle: before[at]?.handle });
      expect(await servesWithin(instances[at] as InstanceWithToken, 10_000), word).toBe(true);
    }
  }, 60_000);

  it('that are forged point at nobody: a stranger named in them lives on', async () => {
    using other = await stranger();
    const real = await run();
    const forged = (id: string): string =>
      JSON.stringify({
        ...(JSON.parse(readFileSync(record(real.id), 'utf8')) as object),
        ...identify(other.pid),
        instanceId: id,
      });
    await daemon.kill9();
    const [linked, renamed, foreign] = [randomUUID(), randomUUID(), randomUUID()];
    for (const id of [linked, renamed, foreign]) mkdirSync(bundle(id), { recursive: true });
    writeFileSync(join(daemon.dataDir, 'forged.json'), forged(linked), { mode: 0o600 });
    symlinkSync(join(daemon.dataDir, 'forged.json'), record(linked));
    writeFileSync(record(renamed), forged(linked), { mode: 0o600 });
    if (isRoot) {
      writeFileSync(record(foreign), forged(foreign), { mode: 0o600 });
      chownSync(record(foreign), 4_242, 4_242);
    }
    await daemon.start();
    await untilRow(daemon, real.id, ({ status }) => status === 'running');
    expect(other.lives()).toBe(true);
    for (const id of [linked, renamed, foreign])
      rmSync(join(daemon.dataDir, 'instances', id), { recursive: true, force: true });
  }, 60_000);
});

describe('a bundle without a row', () => {
  it('is ended, and nothing of it is left', async () => {
    const instance = await run();
    const { shim, children } = processesOf(await rowOf(daemon, instance.id));
    await daemon.kill9();
    const { db } = daemon.database;
    await db.query(
      'UPDATE port_allocations SET is_available = true, mcp_instance_id = NULL WHERE mcp_instance_id = $1',
      [instance.id],
    );
    await db.query('DELETE FROM mcp_instances WHERE id = $1', [instance.id]);
    await daemon.start();
    await untilPromisesHold(daemon);
    expect([shim, ...children].filter((pid) => identify(pid) !== undefined)).toEqual([]);
    expect(await refusesConnections(instance.access_url)).toBe(true);
  }, 60_000);
});

describe('a row without a bundle', () => {
  it('is launched again where it was at work, and ended where it was being stopped', async () => {
    const [running, stopping] = await Promise.all([run(), run()]);
    const rows = await Promise.all([running, stopping].map(({ id }) => rowOf(daemon, id)));
    await daemon.kill9();
    for (const row of rows) {
      const { shim, children } = processesOf(row);
      signalAll([shim, ...children], 'SIGKILL');
      rmSync(bundle(row.id), { recursive: true });
    }
    await daemon.database.db.query(
      `UPDATE mcp_instances SET status = 'stopping', stop_reason = 'user' WHERE id = $1`,
      [stopping.id],
    );
    await daemon.database.db.query('UPDATE mcp_instances SET handle = NULL WHERE id = ANY($1)', [
      [running.id, stopping.id],
    ]);
    await daemon.start();
    await untilRow(daemon, stopping.id, ({ status }) => status === 'disconnected');
    await untilRow(daemon, running.id, (row) => row.status === 'running' && row.generation === 2);
    expect(await servesWithin(running, 10_000)).toBe(true);
  }, 60_000);
});

describe('a pid', () => {
  /** Kills an instance behind the supervisor's back and lets its row and its record name somebody else. */
  async function rename(instance: InstanceWithToken, changes: Partial<Instance> | object): Promise<void> {
    const { shim, children } = processesOf(await rowOf(daemon, instance.id));
    await daemon.kill9();
    signalAll([shim, ...children], 'SIGKILL');
    const text = JSON.parse(readFileSync(record(instance.id), 'utf8')) as object;
    writeFileSync(record(instance.id), JSON.stringify({ ...text, ...changes }));
    await daemon.database.db.query('UPDATE mcp_instances SET handle = handle || $2::jsonb WHERE id = $1', [
      instance.id,
      JSON.stringify(changes),
    ]);
  }

  it('of an earlier boot is nobody: what the old boot left is closed, and the lease goes on', async () => {
    using other = await stranger();
    const instance = await run();
    await rename(instance, { ...identify(other.pid), bootId: '00000000-0000-4000-8000-000000000000' });
    await daemon.start();
    await untilRow(daemon, instance.id, (row) => row.status === 'running' && row.generation === 2);
    expect(other.lives()).toBe(true);
    expect(await servesWithin(instance, 10_000)).toBe(true);
  }, 60_000);

  it('that was given to another process since is not signalled', async () => {
    using other = await stranger();
    const instance = await run();
    await rename(instance, { pid: other.pid });
    await daemon.start();
    await untilRow(daemon, instance.id, (row) => row.status === 'running' && row.generation === 2);
    expect(other.lives()).toBe(true);
  }, 60_000);
});

describe('a shim', () => {
  it('told to end by a foreign hand, as at a shutdown of the machine, is launched again within its lease', async () => {
    const instance = await run();
    const { shim } = processesOf(await rowOf(daemon, instance.id));
    await daemon.kill9();
    signalAll([shim], 'SIGTERM');
    await expect.poll(() => identify(shim), { timeout: 10_000 }).toBeUndefined();
    await daemon.start();
    await untilRow(daemon, instance.id, (row) => row.status === 'running' && row.generation === 2);
    expect(await servesWithin(instance, 10_000)).toBe(true);
  }, 60_000);

  it('that does not answer costs two seconds, however many there are', async () => {
    const instances = await Promise.all(Array.from({ length: 10 }, run));
    const rows = await Promise.all(instances.map(({ id }) => rowOf(daemon, id)));
    const shims = rows.map((row) => processesOf(row).shim);
    const silent = shims.slice(0, 5);
    await daemon.kill9();
    signalAll(silent, 'SIGSTOP');
    // The others live, and cannot be reached.
    const sockets = instances.slice(5).map(({ id }) => join(bundle(id), 'control.sock'));
    for (const socket of sockets) renameSync(socket, `${socket}.away`);
    const startedMs = performance.now();
    await daemon.start();
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    for (const row of rows)
      expect(await rowOf(daemon, row.id)).toMatchObject({
        status: 'running',
        generation: 1,
        handle: row.handle,
      });
    signalAll(silent, 'SIGCONT');
    for (const socket of sockets) renameSync(`${socket}.away`, socket);
    for (const instance of instances) expect(await servesWithin(instance, 10_000)).toBe(true);
  }, 90_000);
});

describe('in the end', () => {
  it('no directory of an instance is left', async () => {
    await expect.poll(() => readdirSync(join(daemon.dataDir, 'instances')), { timeout: 60_000 }).toEqual([]);
  }, 70_000);
});
