// The start of one generation, from an empty bundle to a shim that has been told everything. Twice is once: a bundle
// with a record is never started again. What fails half way leaves no process, no cgroup and no bundle.
import type { FileHandle } from 'node:fs/promises';
import { createServer } from 'node:net';
import { Fault } from '../base/errors.ts';
import { contractVersion } from '../shim/contract.ts';
import { type BundleOwner, makeEgressDir, prepareBundle, removeGeneration } from './bundle.ts';
import { createGroup, joinGroup, removeGroup } from './cgroups.ts';
import { hasProxy } from './child-spec.ts';
import type { Handle, News, StartSpec } from './driver.ts';
import { reaches } from './ladder.ts';
import { egressDir, launchSpec, shimCommand } from './launch-spec.ts';
import { launchShim } from './launcher.ts';
import { keyOf } from './links.ts';
import { handleOf, type LocalState } from './local-state.ts';
import type { BundleRecord } from './messages.ts';
import { isSame } from './process-identity.ts';
import { processesOfUid } from './process-table.ts';
import { openCrashFile, readRecord, writeRecord } from './state-files.ts';
import { killUid, terminate } from './terminate.ts';
import { uidForPort } from './uids.ts';

/** Starts a generation unless it has been started. @throws Fault isolation_unavailable, type_unavailable */
export async function startGeneration(
  state: LocalState,
  spec: StartSpec,
  emit: (news: News) => void,
): Promise<Handle> {
  const { dataDir } = state.options;
  const known = await readRecord(dataDir, spec);
  if (known !== undefined) return resume(state, handleOf(known), emit);
  refuseIsolation(state, spec);
  const resolved = await state.options.packages.resolve(spec.type);
  const owner = await takeUser(state, spec);
  const bundle = await prepareBundle(dataDir, spec, owner);
  const cgroups: string[] = [];
  let crashFile: FileHandle | undefined;
  let record: BundleRecord | undefined;
  try {
    crashFile = await openCrashFile(bundle);
    if (hasProxy({ ...state.isolation, type: spec.type })) await makeEgressDir(egressDir(bundle), owner);
    await launchShim({
      command: shimCommand(state, owner),
      cwd: bundle,
      uid: owner.uid,
      dropTo: owner.foreign && state.isolation.setpriv === null ? owner : undefined,
      stderr: crashFile,
      listenFd: spec.listenFd,
      spec: await launchSpec(state, spec, { bundle, resolved }),
      async onIdentity(identity) {
        // Only now: making a group takes the kernel longer than anything else here, and Node needs its time to begin.
        if (state.isolation.cgroups !== null) {
          cgroups.push(...createGroup(state.isolation.cgroups, groupName(spec), spec.limits));
        }
        await joinGroup(cgroups, identity.pid);
        record = {
          ...identity,
          instanceId: spec.instanceId,
          generation: spec.generation,
          port: spec.port,
          isolation: state.isolation.level,
          limits: spec.limits,
          cgroups,
          contract: contractVersion,
        };
        await writeRecord(dataDir, record);
      },
      onExit: () => {
        if (record !== undefined) state.links.nudge(handleOf(record));
      },
    });
    if (record === undefined) throw new Error('the shim was started and not identified');
    const handle = handleOf(record);
    state.records.set(keyOf(handle), record);
    state.roomForTwo.set(keyOf(handle), false);
    state.links.follow(handle);
    state.caches.wish(resolved.dir, resolved.script);
    return handle;
  } catch (error) {
    await undo(state, spec, owner, cgroups);
    throw error;
  } finally {
    await crashFile?.close();
  }
}

/** A generation that was started before: by us, or by a supervisor that died before it could write the handle down. */
function resume(state: LocalState, handle: Handle, emit: (news: News) => void): Handle {
  if (isSame(handle)) state.links.follow(handle);
  else
    setImmediate(() => emit({ instanceId: handle.instanceId, generation: handle.generation, kind: 'ended' }));
  return handle;
}

function refuseIsolation({ isolation }: LocalState, spec: StartSpec): void {
  if (reaches(isolation.level, spec.minIsolation)) return;
  const missing = isolation.ladder
    .filter((rung) => rung.missing !== null && reaches(spec.minIsolation, rung.level))
    .map((rung) => `${rung.level}: ${rung.missing}`);
  throw new Fault(
    'isolation_unavailable',
    `isolation ${spec.minIsolation} is required and this machine reaches ${isolation.level} (${missing.join('; ')})`,
  );
}

/** The user of an instance: ours, or the port's own with nothing of it left alive. */
async function takeUser(state: LocalState, spec: StartSpec): Promise<BundleOwner> {
  const { uids } = state.isolation;
  if (uids === null) return { uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1, foreign: false };
  const uid = uidForPort(uids, spec.port);
  const tenant = state.tenants.get(uid);
  const tenantLives = state.links.followed().some((other) => keyOf(other) === tenant && isSame(other));
  if (tenant !== undefined && tenant !== keyOf(spec) && tenantLives) {
    throw new Error(`port ${spec.port} still belongs to instance ${tenant}`);
  }
  if (!state.vacant.delete(uid) && processesOfUid(uid).length > 0) {
    // Either leftovers of the last tenant, or the instance of another supervisor: that one listens.
    if (spec.listenFd === undefined && (await isTaken(state.options.instanceHost, spec.port))) {
      throw new Error(
        `port ${spec.port} is held by processes of user ${uid} that are not of this supervisor`,
      );
    }
    state.options.log.warn({ port: spec.port, uid }, 'killing what the last tenant of this port left behind');
    await killUid(uid);
  }
  state.tenants.set(uid, keyOf(spec));
  return { uid, gid: uid, foreign: true };
}

function isTaken(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(true));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(false)));
  });
}

function groupName(spec: StartSpec): string {
  return `${spec.instanceId}.${spec.generation}`;
}

async function undo(
  state: LocalState,
  spec: StartSpec,
  owner: BundleOwner,
  cgroups: string[],
): Promise<void> {
  const { dataDir } = state.options;
  const record = await readRecord(dataDir, spec);
  if (record !== undefined) {
    state.links.drop(handleOf(record));
    await terminate(
      { identity: record, instanceId: spec.instanceId, ownsUid: owner.foreign, cgroups, spare: [] },
      { drainMs: 0, graceMs: 0, ask: neverTold, mayKill: () => true },
    );
  } else if (owner.foreign) await killUid(owner.uid);
  await removeGroup(cgroups);
  if (owner.foreign && state.tenants.get(owner.uid) === keyOf(spec)) state.tenants.delete(owner.uid);
  await removeGeneration(dataDir, spec);
}

function neverTold(): Promise<never> {
  return Promise.reject(new Error('it was never told anything'));
}
