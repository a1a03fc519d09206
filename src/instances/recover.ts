// Makes the truth on this machine and the rows agree: at boot, and every half minute after. Every row at work meets
// what lives and what lies on disk; each is adopted, recorded as ended, or launched again. What lives without a row
// that wants it is ended. Nothing here decides a status: it only raises events.
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db, Fence } from '../db/pool.ts';
import {
  listAsleep,
  listAtWork,
  listUnwiped,
  readInstance,
  setHandle,
  type Timed,
} from '../db/queries/instances.ts';
import type { Driver, Handle, Inspection } from '../runtime/driver.ts';
import type { Apply } from './apply.ts';
import { isHandle } from './effect-options.ts';
import type { Effects } from './effects.ts';
import { occurrenceOf } from './news.ts';

export interface RecoverOptions {
  readonly db: Db;
  readonly fence: () => Fence;
  readonly nodeId: string;
  readonly driver: Driver;
  readonly apply: Apply;
  readonly effects: Effects;
  readonly log: Logger;
  /** Whether the port of a sleeping instance is listened on. */
  readonly listens: (instanceId: string) => boolean;
  /** Something could not be reconciled now. */
  readonly onFailed: (error: unknown) => void;
}

export interface Recovered {
  readonly adopted: number;
  readonly ended: number;
  readonly launched: number;
  readonly reaped: number;
}

type Verdict = 'adopted' | 'ended' | 'launched' | 'reaped' | 'none';

/** One pass over everything of this node. @throws Fault database_unavailable */
export async function reconcile(options: RecoverOptions): Promise<Recovered> {
  const [rows, handles] = await Promise.all([listAtWork(options.db, options.nodeId), options.driver.list()]);
  const byKey = new Map(handles.map((handle) => [key(handle.instanceId, handle.generation), handle]));
  const settled = rows.map((timed) => {
    const found = byKey.get(key(timed.row.id, timed.row.generation));
    byKey.delete(key(timed.row.id, timed.row.generation));
    return guarded(options, timed.row.id, () => settleRow(options, timed, found));
  });
  const reaped = [...byKey.values()].map((handle) =>
    guarded(options, handle.instanceId, () => reap(options, handle)),
  );
  for (const row of await listAsleep(options.db, options.nodeId)) {
    // What is listened on already costs no transaction: with a thousand sleepers this pass would be the busiest of all.
    if (!options.listens(row.id) && !options.effects.busy(row.id))
      options.effects.follow({ row, effects: ['listen'], changed: false });
  }
  for (const row of await listUnwiped(options.db, options.nodeId)) {
    if (!options.effects.busy(row.id)) options.effects.follow({ row, effects: ['wipe'], changed: false });
  }
  const verdicts = await Promise.all([...settled, ...reaped]);
  const count = (verdict: Verdict): number => verdicts.filter((other) => other === verdict).length;
  return {
    adopted: count('adopted'),
    ended: count('ended'),
    launched: count('launched'),
    reaped: count('reaped'),
  };
}

async function guarded(
  options: RecoverOptions,
  instance: string,
  task: () => Promise<Verdict>,
): Promise<Verdict> {
  if (options.effects.busy(instance)) return 'none';
  try {
    return await task();
  } catch (error) {
    options.log.warn(
      { instance, reason: messageOf(error) },
      'could not be reconciled now; the next pass tries again',
    );
    options.onFailed(error);
    return 'none';
  }
}

async function settleRow(options: RecoverOptions, timed: Timed, found: Handle | undefined): Promise<Verdict> {
  const { row, leaseOver } = timed;
  const handle = isHandle(row.handle) ? row.handle : found;
  if (row.status === 'stopping') {
    options.effects.follow({ row, effects: ['terminate'], changed: false });
    return 'ended';
  }
  if (leaseOver) {
    options.effects.follow(await options.apply(row.id, { event: 'expire' }));
    return 'ended';
  }
  if (handle === undefined) {
    if (row.status === 'pending') {
      options.effects.follow({ row, effects: ['launch'], changed: false });
      return 'launched';
    }
    options.effects.ended(row.id, row.generation);
    return 'ended';
  }
  // The supervisor died, or the database was away, between the start and its being written down.
  if (handle !== row.handle)
    await options.db.tx((tx) => setHandle(tx, row.id, row.generation, handle), options.fence());
  const inspection = await options.driver.adopt(handle);
  return settleHandle(options, timed, inspection);
}

async function settleHandle(options: RecoverOptions, timed: Timed, inspection: Inspection): Promise<Verdict> {
  const { row } = timed;
  if (inspection.state === 'ended') {
    options.effects.ended(row.id, row.generation);
    return 'ended';
  }
  if (inspection.state === 'silent') return 'none';
  // An extension may have been written and not told before the supervisor died. What the shim knows is not told again:
  // it counts by itself, and would be led astray by a database whose clock has jumped meanwhile.
  if (inspection.shim.expiresAt !== row.expires_at.toISOString())
    options.effects.follow({ row, effects: ['set_deadline'], changed: true });
  const occurrence = occurrenceOf({ generation: row.generation, shim: inspection.shim });
  // What the row says already costs no transaction: with a hundred instances this pass would be the busiest of all.
  const known = row.status === 'running' && occurrence?.event === 'ready';
  if (occurrence !== undefined && !known) options.effects.follow(await options.apply(row.id, occurrence));
  return 'adopted';
}

/** Ends a generation that no row wants: an older one, or one whose row is at rest or gone. */
async function reap(options: RecoverOptions, handle: Handle): Promise<Verdict> {
  const wanted = await readInstance(options.db, handle.instanceId);
  if (
    wanted !== undefined &&
    wanted.row.generation === handle.generation &&
    ['pending', 'running', 'stopping'].includes(wanted.row.status)
  ) {
    return 'none';
  }
  const found = await options.driver.inspect(handle);
  if (found.state === 'ended') {
    // Nobody can ever ask for the home of a row that is gone.
    if (wanted === undefined) await options.driver.remove(handle.instanceId);
    return 'none';
  }
  options.log.warn(
    { instance: handle.instanceId, generation: handle.generation },
    'ending processes that no row wants',
  );
  await options.driver.stop(handle, { reason: 'lost', drainMs: 0, graceMs: 1_000 });
  if (wanted === undefined) await options.driver.remove(handle.instanceId);
  return 'reaped';
}

function key(instanceId: string, generation: number): string {
  return `${instanceId}/${generation}`;
}
