// The driver for shims on this machine. It starts, finds, follows and ends them; what an instance's status is, others
// decide. Secrets pass through on their way to a shim's input and are kept nowhere.
import { availableParallelism, totalmem } from 'node:os';
import { Fault, messageOf } from '../base/errors.ts';
import type { ExitRecord } from '../shim/contract.ts';
import { admitVisitor } from './admit.ts';
import { removeHome } from './bundle.ts';
import { groupMembers } from './cgroups.ts';
import { createCompileCaches } from './compile-cache.ts';
import { demandMs } from './demand.ts';
import type { Driver, Handle, News, StopOptions, Usage } from './driver.ts';
import {
  inspectGeneration,
  listGenerations,
  livingRecords,
  recordOf,
  removeOrphanGroups,
  stopGeneration,
  tellShim,
} from './generations.ts';
import { probeIsolation } from './isolation.ts';
import { capIsolation, type Isolation } from './ladder.ts';
import { createLinks, keyOf } from './links.ts';
import { handleOf, type LocalDriverOptions, type LocalState } from './local-state.ts';
import type { BundleRecord } from './messages.ts';
import { isSame } from './process-identity.ts';
import { followRoom, rekeyGeneration } from './rekey.ts';
import { startGeneration } from './start.ts';
import { writeBroken } from './state-files.ts';
import { placeRuntime } from './store.ts';
import { measureUsage } from './usage.ts';
import { createWatchdog, type Watchdog } from './watchdog.ts';

/** Time a server gets to leave after it broke a limit. */
const brokenGraceMs = 1_000;

/** Makes the driver: fills the store and tries the isolation ladder. @throws Fault config_invalid */
export async function createLocalDriver(options: LocalDriverOptions): Promise<Driver> {
  const { dataDir, log } = options;
  const listeners = new Set<(news: News) => void>();
  const emit = (news: News): void => {
    // A server that was just killed for its memory looks like a crash to its shim.
    if (news.kind === 'state' && news.shim?.phase === 'restarting') void checkKernel(state, watchdog, news);
    if (news.kind === 'state') void keepRoom(state, news);
    for (const listener of listeners) listener(news);
  };
  const files = await placeRuntime(dataDir);
  const found = await probeIsolation({ dataDir, files, uidBase: options.uidBase });
  refuseUnreachable(found, dataDir);
  const isolation = options.isolationMax === undefined ? found : capIsolation(found, options.isolationMax);
  const links = createLinks({ dataDir, epoch: options.epoch, log, onNews: emit });
  const caches = createCompileCaches({ dataDir, files, isolation, log });
  const state: LocalState = {
    options,
    files,
    isolation,
    links,
    caches,
    records: new Map(),
    roomForTwo: new Map(),
    rekeying: new Set(),
    tenants: new Map(),
    vacant: new Set(),
  };
  await removeOrphanGroups(state);
  const starting = new Map<string, Promise<Handle>>();
  const stopping = new Map<string, Promise<ExitRecord | null>>();

  const stop = (handle: Handle, times: StopOptions): Promise<ExitRecord | null> =>
    once(stopping, keyOf(handle), () => stopGeneration(state, handle, times));
  const watchdog = createWatchdog({
    dataDir,
    log,
    living: async () => (await livingRecords(state)).filter((record) => !stopping.has(keyOf(record))),
    usage: (records) => usageOf(records),
    children: (record) => (state.roomForTwo.get(keyOf(record)) === true ? 2 : 1),
    async onBroken(record, message) {
      if (stopping.has(keyOf(record))) return;
      log.warn({ instance: record.instanceId, limit: message }, 'an instance broke a limit and is ended');
      await writeBroken(dataDir, record, message);
      await stop(handleOf(record), { reason: 'limit', drainMs: 0, graceMs: brokenGraceMs });
      emit({ instanceId: record.instanceId, generation: record.generation, kind: 'ended' });
    },
  });

  return {
    probe: async () => ({
      isolation: isolation.level,
      ladder: isolation.ladder,
      ownUsers: isolation.uids !== null,
      cores: availableParallelism(),
      memoryBytes: memoryBytes(),
    }),
    start: (spec) => once(starting, keyOf(spec), () => startGeneration(state, spec, emit)),
    inspect: (handle) => inspectGeneration(state, handle),
    watch(callback, signal) {
      if (signal.aborted) return;
      listeners.add(callback);
      signal.addEventListener('abort', () => listeners.delete(callback), { once: true });
    },
    list: () => listGenerations(state),
    async find(instanceId, generation) {
      const record = await recordOf(state, { instanceId, generation });
      return record === undefined ? undefined : handleOf(record);
    },
    adopt: (handle) => inspectGeneration(state, handle),
    stop: async (handle, times) => ({ exit: await stop(handle, times), processes: 0 }),
    remove: (instanceId) => removeHome(dataDir, instanceId),
    setDeadline: (handle, { remainingMs, expiresAt }) =>
      tellShim(state, handle, {
        method: 'deadline',
        lease: { remainingMs, expiresAt: expiresAt.toISOString() },
      }),
    setToken: (handle, tokenSha256) => tellShim(state, handle, { method: 'token', tokenSha256 }),
    admit: (handle, visitor) => admitVisitor(state, handle, visitor),
    rekey: (handle, key, signal) => rekeyGeneration(state, handle, key, signal),
    async usage(handles) {
      const records = await Promise.all(handles.map((handle) => recordOf(state, handle)));
      return usageOf(records.filter((record) => record !== undefined));
    },
    demand: (handle) => (isSame(handle) ? demandMs(handle.pid) : undefined),
    async close() {
      watchdog.stop();
      links.close();
      listeners.clear();
      await caches.close();
    },
  };
}

async function keepRoom(state: LocalState, news: News): Promise<void> {
  try {
    await followRoom(state, news);
  } catch (error) {
    const { instanceId: instance } = news;
    state.options.log.warn({ instance, reason: messageOf(error) }, 'limits could not be set again');
  }
}

async function checkKernel(state: LocalState, watchdog: Watchdog, news: News): Promise<void> {
  try {
    const record = await recordOf(state, news);
    if (record !== undefined) await watchdog.checkKernel(record);
  } catch (error) {
    state.options.log.warn(
      { instance: news.instanceId, reason: messageOf(error) },
      'limits could not be looked at',
    );
  }
}

function usageOf(records: readonly BundleRecord[]): Promise<Map<string, Usage>> {
  const roots = records.filter(isSame).map(({ instanceId, pid, cgroups }) => ({
    key: instanceId,
    pid,
    // All of its groups have the same members.
    members: cgroups.length === 0 ? undefined : groupMembers(cgroups.slice(0, 1)),
  }));
  return measureUsage(roots);
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
