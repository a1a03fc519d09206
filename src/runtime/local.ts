// The driver for shims on this machine. It starts, finds, follows and ends them; what an instance's status is, others
// decide. Secrets pass through on their way to a shim's input and are kept nowhere.
import { availableParallelism, totalmem } from 'node:os';
import { Fault, messageOf } from '../base/errors.ts';
import type { ExitRecord } from '../shim/contract.ts';
import { listBundles, readExit, readRecord, removeHome } from './bundle.ts';
import { groupMembers } from './cgroups.ts';
import type { Driver, Handle, Inspection, News } from './driver.ts';
import { type Isolation, probeIsolation } from './isolation.ts';
import { createLinks, keyOf } from './links.ts';
import { handleOf, type LocalDriverOptions, type LocalState } from './local-state.ts';
import { findSame, isSame } from './process-identity.ts';
import { readProcessTable } from './process-table.ts';
import { type Ask, ShimRefusal, ShimSilence } from './shim-client.ts';
import { startGeneration } from './start.ts';
import { placeRuntime } from './store.ts';
import { type Target, terminate } from './terminate.ts';
import { measureUsage } from './usage.ts';

/** How long an answer of a shim is waited for. */
const answerMs = 2_000;

/** Makes the driver: fills the store and tries the isolation ladder. @throws Fault config_invalid */
export async function createLocalDriver(options: LocalDriverOptions): Promise<Driver> {
  const listeners = new Set<(news: News) => void>();
  const emit = (news: News): void => {
    for (const listener of listeners) listener(news);
  };
  const links = createLinks({
    dataDir: options.dataDir,
    epoch: options.epoch,
    log: options.log,
    onNews: emit,
  });
  const files = await placeRuntime(options.dataDir, options.nodeBinary);
  const isolation = await probeIsolation({ dataDir: options.dataDir, files, uidBase: options.uidBase });
  const state: LocalState = { options, files, isolation, links, tenants: new Map() };
  refuseUnreachable(isolation, options.dataDir);
  const starting = new Map<string, Promise<Handle>>();
  const stopping = new Map<string, Promise<ExitRecord | null>>();

  return {
    probe: async () => ({
      isolation: isolation.level,
      ladder: isolation.ladder,
      cores: availableParallelism(),
      memoryBytes: memoryBytes(),
    }),
    start: (spec) => once(starting, keyOf(spec), () => startGeneration(state, spec, emit)),
    inspect: (handle) => inspect(state, handle),
    watch(callback, signal) {
      if (signal.aborted) return;
      listeners.add(callback);
      signal.addEventListener('abort', () => listeners.delete(callback), { once: true });
    },
    list: () => list(state),
    adopt: (handle) => inspect(state, handle),
    async stop(handle, times) {
      const exit = await once(stopping, keyOf(handle), () => stop(state, handle, times));
      return { exit, processes: 0 };
    },
    remove: (instanceId) => removeHome(options.dataDir, instanceId),
    async setDeadline(handle, lease) {
      const { remainingMs, expiresAt } = lease;
      const told = { remainingMs, expiresAt: expiresAt.toISOString() };
      await ask(state, handle, { method: 'deadline', lease: told });
    },
    async setToken(handle, tokenSha256) {
      await ask(state, handle, { method: 'token', tokenSha256 });
    },
    async usage(handles) {
      const found = await Promise.all(
        handles.filter(isSame).map(async (handle) => ({
          key: handle.instanceId,
          pid: handle.pid,
          members: groupMembers((await readRecord(options.dataDir, handle))?.cgroups ?? []),
        })),
      );
      return measureUsage(readProcessTable(), found);
    },
    async close() {
      links.close();
      listeners.clear();
    },
  };
}

/** As root, instances run as users of their own, who must be able to reach the data directory. */
function refuseUnreachable({ ladder, uids }: Isolation, dataDir: string): void {
  const missing = ladder.find(({ level }) => level === 'L1')?.missing;
  if (process.getuid?.() !== 0 || (uids !== null && !missing?.startsWith('user '))) return;
  throw new Fault(
    'config_invalid',
    `instances cannot be run as users of their own from ${dataDir}: ${missing}. Set MINIMCP_DATA_DIR to a directory ` +
      'that others may pass through (/var/lib/minimcp), or run MiniMCP as an ordinary user',
  );
}

function memoryBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}

async function once<T>(running: Map<string, Promise<T>>, key: string, task: () => Promise<T>): Promise<T> {
  const known = running.get(key);
  if (known !== undefined) return known;
  const started = task().finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

async function inspect(state: LocalState, handle: Handle): Promise<Inspection> {
  const facts = findSame(handle);
  if (facts === undefined) {
    state.links.nudge(handle);
    return { state: 'ended', handle, exit: await readExit(state.options.dataDir, handle, handle.uid) };
  }
  state.tenants.set(handle.uid, keyOf(handle));
  state.links.follow(handle);
  if (facts.state === 'T' || facts.state === 't') return { state: 'silent', handle };
  try {
    const client = await state.links.client(handle, answerMs);
    return { state: 'alive', handle, shim: await client.ask({ method: 'state' }, answerMs) };
  } catch (error) {
    if (error instanceof ShimRefusal && error.code === 'fenced') throw fenced(error);
    if (!(error instanceof ShimSilence) && !(error instanceof ShimRefusal)) throw error;
    if (isSame(handle)) return { state: 'silent', handle };
    return { state: 'ended', handle, exit: await readExit(state.options.dataDir, handle, handle.uid) };
  }
}

async function list(state: LocalState): Promise<Handle[]> {
  const names = await listBundles(state.options.dataDir);
  const records = await Promise.all(names.map((name) => readRecord(state.options.dataDir, name)));
  const handles = records.flatMap((record) => (record === undefined ? [] : [handleOf(record)]));
  for (const handle of handles) if (isSame(handle)) state.tenants.set(handle.uid, keyOf(handle));
  return handles;
}

async function ask(state: LocalState, handle: Handle, request: Ask): Promise<void> {
  try {
    const client = await state.links.client(handle, answerMs);
    await client.ask(request, answerMs);
  } catch (error) {
    if (error instanceof ShimRefusal && error.code === 'fenced') throw fenced(error);
    throw new Error(`the shim of instance ${handle.instanceId} could not be told: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function fenced(error: ShimRefusal): Fault {
  return new Fault('node_fenced', error.message, { cause: error });
}

type Times = Parameters<Driver['stop']>[1];

async function stop(state: LocalState, handle: Handle, times: Times): Promise<ExitRecord | null> {
  const { dataDir } = state.options;
  const target = await targetOf(state, handle);
  await terminate(target, {
    ...times,
    ask: async () => {
      const client = await state.links.client(handle, answerMs);
      const { reason, drainMs, graceMs } = times;
      await client.ask({ method: 'stop', reason, drainMs, graceMs }, answerMs);
    },
  });
  state.links.drop(handle);
  if (state.tenants.get(handle.uid) === keyOf(handle)) state.tenants.delete(handle.uid);
  return readExit(dataDir, handle, handle.uid);
}

async function targetOf(state: LocalState, handle: Handle): Promise<Target> {
  const record = await readRecord(state.options.dataDir, handle);
  const tenant = state.tenants.get(handle.uid);
  const key = keyOf(handle);
  return {
    identity: handle,
    instanceId: handle.instanceId,
    ownsUid: handle.uid !== process.getuid?.() && (tenant === undefined || tenant === key),
    cgroups: record?.cgroups ?? [],
    spare: state.links.followed().filter((other) => keyOf(other) !== key),
  };
}
