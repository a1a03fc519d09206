// Carries out what apply decided: launch, terminate, set_deadline, wipe. One queue per instance, so that a stop never
// overtakes a start; every effect re-reads the row first and does nothing if the row has moved on. What fails here is
// found again by reconcile: the row says what is still to be done.
import { readInstance } from '../db/queries/instances.ts';
import type { Instance } from '../domain/instance.ts';
import type { Effect } from '../domain/lifecycle.ts';
import type { Admitted } from '../runtime/driver.ts';
import type { Visitor } from '../shim/contract.ts';
import type { Outcome } from './apply.ts';
import { type EffectsOptions, findHandle, isHandle } from './effect-options.ts';
import { handOverKey } from './hand-over-key.ts';
import { launch } from './launch.ts';
import { setDeadline, settleEnd, terminate, wipe } from './teardown.ts';

export interface Effects {
  /** Queues the effects of an outcome behind those of the same instance. */
  follow(outcome: Outcome): void;
  /** Settles a generation whose shim has gone: proves the end and applies it. */
  ended(id: string, generation: number): void;
  /** Gives a running shim its new access token. */
  replaceToken(row: Instance): Promise<void>;
  /** Lets a visitor into a running instance; undefined where nothing of it is to be found on this machine. */
  admit(row: Instance, visitor: Visitor): Promise<Admitted | undefined>;
  /** Has the shim of a running instance change to its owner's present API key. */
  handOverKey(row: Instance, signal: AbortSignal): ReturnType<typeof handOverKey>;
  /** Whether effects of this instance are under way. */
  busy(id: string): boolean;
  /** Takes no more; resolves when what was under way is done. Launches that wait are dropped: reconcile finds them. */
  stop(): Promise<void>;
}

interface Lane {
  tail: Promise<void>;
  queued: number;
  /** Aborts a launch that waits for its turn or its back-off. */
  waiting: AbortController;
}

export function createEffects(options: EffectsOptions): Effects {
  const { log } = options;
  const lanes = new Map<string, Lane>();
  const closing = new AbortController();

  const enqueue = (id: string, task: (signal: AbortSignal) => Promise<Outcome | undefined>): void => {
    if (closing.signal.aborted) return;
    const lane = lanes.get(id) ?? { tail: Promise.resolve(), queued: 0, waiting: new AbortController() };
    lanes.set(id, lane);
    lane.waiting.abort();
    lane.waiting = new AbortController();
    const signal = AbortSignal.any([lane.waiting.signal, closing.signal]);
    lane.queued += 1;
    lane.tail = lane.tail
      .then(() => task(signal))
      .then((outcome) => {
        if (outcome !== undefined) follow(outcome);
      })
      .catch((error: unknown) => {
        log.error({ err: error, instance: id }, 'an effect failed; reconcile will find it');
        options.onFailed(error);
      })
      .finally(() => {
        lane.queued -= 1;
        if (lane.queued === 0 && lanes.get(id) === lane) lanes.delete(id);
      });
  };

  const follow = (outcome: Outcome): void => {
    const { row } = outcome;
    options.changes.announce(row.id);
    if (outcome.changed && row.status !== 'stopping') options.onLease(row);
    for (const effect of outcome.effects) enqueue(row.id, (signal) => run[effect](options, row, signal));
  };

  return {
    follow,
    ended: (id, generation) => enqueue(id, () => settleEnd(options, id, generation)),
    async replaceToken(row) {
      options.changes.announce(row.id);
      if (isHandle(row.handle)) await options.driver.setToken(row.handle, row.access_token);
      else if (isAsleep(row)) await options.sleepers.listen(row);
    },
    async admit(row, visitor) {
      const handle = await findHandle(options, row);
      return handle === undefined ? undefined : options.driver.admit(handle, visitor);
    },
    handOverKey: (row, signal) => handOverKey(options, row, AbortSignal.any([signal, closing.signal])),
    busy: (id) => lanes.has(id),
    async stop() {
      closing.abort();
      await Promise.all([...lanes.values()].map((lane) => lane.tail));
    },
  };
}

type Run = (options: EffectsOptions, row: Instance, signal: AbortSignal) => Promise<Outcome | undefined>;
const run: Readonly<Record<Effect, Run>> = {
  launch,
  terminate,
  set_deadline: setDeadline,
  listen,
  unlisten,
  wipe,
};

async function listen(options: EffectsOptions, row: Instance): Promise<undefined> {
  const timed = await readInstance(options.db, row.id);
  if (timed === undefined || !isAsleep(timed.row)) return;
  const fresh = await options.sleepers.listen(timed.row);
  if (fresh) options.say(row.id, 'info', 'asleep: stopped for idleness; the next request wakes it');
}

async function unlisten(options: EffectsOptions, row: Instance): Promise<undefined> {
  options.sleepers.unlisten(row.id);
}

function isAsleep(row: Instance): boolean {
  return row.status === 'disconnected' && row.assigned_port !== null;
}
