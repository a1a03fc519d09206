// What the driver does with a generation once it is started: looks at it, talks to its shim, ends it. Every answer rests
// on the process itself; what a shim says or leaves behind only adds the words.
import { Fault, messageOf } from '../base/errors.ts';
import { contractVersion, type ExitRecord } from '../shim/contract.ts';
import { listBundles } from './bundle.ts';
import type { BundleName } from './bundle-names.ts';
import { groupMembers, listGroups, removeGroup } from './cgroups.ts';
import type { Handle, Inspection, StopOptions } from './driver.ts';
import { readEnding } from './ending.ts';
import { keyOf } from './links.ts';
import { handleOf, type LocalState } from './local-state.ts';
import type { BundleRecord } from './messages.ts';
import { findSame, identify, isSame, signalProven } from './process-identity.ts';
import { type Ask, ShimRefusal, ShimSilence } from './shim-client.ts';
import { readRecord, writeBroken } from './state-files.ts';
import { type Target, terminate } from './terminate.ts';

/** How long an answer of a shim is waited for. */
const answerMs = 2_000;

/** The truth about a generation; a living one is followed from now on. @throws Fault node_fenced */
export async function inspectGeneration(state: LocalState, handle: Handle): Promise<Inspection> {
  const ended = async (): Promise<Inspection> => {
    state.links.nudge(handle);
    return { state: 'ended', handle, exit: await readEnding(state.options.dataDir, handle) };
  };
  const facts = findSame(handle);
  if (facts === undefined) return ended();
  state.tenants.set(handle.uid, keyOf(handle));
  state.links.follow(handle);
  // Stopped by a signal, or by a debugger: it answers nobody.
  if (facts.state === 'T' || facts.state === 't') return { state: 'silent', handle };
  try {
    const client = await state.links.client(handle, answerMs);
    return { state: 'alive', handle, shim: await client.ask({ method: 'state' }, answerMs) };
  } catch (error) {
    if (error instanceof ShimRefusal && error.code === 'fenced') throw fenced(error);
    if (!(error instanceof ShimSilence) && !(error instanceof ShimRefusal)) throw error;
    if (!isSame(handle)) return ended();
    const problem = error instanceof ShimRefusal ? { problem: refusalWord(error) } : {};
    return { state: 'silent', handle, ...problem };
  }
}

/** What was written down about a generation. Of those that are followed the files are read once. */
export async function recordOf(state: LocalState, name: BundleName): Promise<BundleRecord | undefined> {
  const known = state.records.get(keyOf(name));
  if (known !== undefined) return known;
  const record = await readRecord(state.options.dataDir, name);
  if (record !== undefined && isSame(record)) state.records.set(keyOf(name), record);
  return record;
}

/** What was written down about every generation that is followed and lives. */
export async function livingRecords(state: LocalState): Promise<BundleRecord[]> {
  const records = await Promise.all(state.links.followed().map((handle) => recordOf(state, handle)));
  const living = records.flatMap((record) => (record !== undefined && isSame(record) ? [record] : []));
  const keys = new Set(living.map(keyOf));
  for (const [key, record] of state.records) {
    if (keys.has(key) || isSame(record)) continue;
    state.records.delete(key);
    state.roomForTwo.delete(key);
  }
  return living;
}

/** Every generation on disk; those that live are known by their user from now on. */
export async function listGenerations(state: LocalState): Promise<Handle[]> {
  const { dataDir } = state.options;
  const records = await Promise.all((await listBundles(dataDir)).map((name) => readRecord(dataDir, name)));
  const handles = records.flatMap((record) => (record === undefined ? [] : [handleOf(record)]));
  for (const handle of handles) if (isSame(handle)) state.tenants.set(handle.uid, keyOf(handle));
  return handles;
}

/** Tells a living shim something. @throws Fault node_fenced; Error when it could not be told */
export async function tellShim(state: LocalState, handle: Handle, request: Ask): Promise<void> {
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

/** Ends a generation and proves it. @throws Fault node_fenced; Error when something still lives */
export async function stopGeneration(
  state: LocalState,
  handle: Handle,
  times: StopOptions,
): Promise<ExitRecord | null> {
  const { dataDir } = state.options;
  const target = await targetOf(state, handle);
  let refusal: ShimRefusal | undefined;
  const ask = async (): Promise<void> => {
    const client = await state.links.client(handle, answerMs);
    await client.ask({ method: 'stop', ...times }, answerMs).catch((error: unknown) => {
      if (error instanceof ShimRefusal && error.code === 'fenced') refusal = error;
      throw error;
    });
  };
  await terminate(target, { ...times, ask, mayKill: () => refusal === undefined });
  if (refusal !== undefined) throw fenced(refusal);
  const ending = await readEnding(dataDir, handle);
  // The kernel's count goes with the cgroup.
  if (ending?.reason === 'limit')
    await writeBroken(dataDir, handle, ending.lastLines[0] ?? 'a limit').catch(() => {});
  await removeGroup(target.cgroups);
  state.links.drop(handle);
  state.records.delete(keyOf(handle));
  state.roomForTwo.delete(keyOf(handle));
  if (state.tenants.get(handle.uid) === keyOf(handle)) state.tenants.delete(handle.uid);
  if (target.ownsUid) state.vacant.add(handle.uid);
  return ending;
}

async function targetOf(state: LocalState, handle: Handle): Promise<Target> {
  const record = await recordOf(state, handle);
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

/** Removes cgroups that no bundle stands for any more, with what may be left in them. */
export async function removeOrphanGroups(state: LocalState): Promise<void> {
  const { cgroups } = state.isolation;
  if (cgroups === null) return;
  const wanted = new Set(
    (await listBundles(state.options.dataDir)).map((name) => keyOf(name).replace('/', '.')),
  );
  for (const [name, dirs] of listGroups(cgroups)) {
    if (wanted.has(name)) continue;
    for (const pid of groupMembers(dirs)) {
      const identity = identify(pid);
      if (identity !== undefined) signalProven(identity, 'SIGKILL');
    }
    await removeGroup(dirs);
  }
}

/** What its owner is told about a shim that serves and will not speak with us. */
function refusalWord(error: ShimRefusal): string {
  if (error.code !== 'contract') return `its shim refuses this supervisor: ${error.message}`;
  return (
    `it is held by a shim of another version of MiniMCP (${error.message}, this supervisor contract ${contractVersion}): ` +
    'it serves until its lease ends and cannot be extended; a restart brings it to this version'
  );
}

export function fenced(error: ShimRefusal): Fault {
  return new Fault('node_fenced', error.message, { cause: error });
}
