// Forgets a person: locks them out, ends and removes their instances, deletes their keys, tokens, log lines and rows, and
// takes them out of the audit trail, which stays. It may be cut off anywhere: asking again, or the sweep, goes on. The
// last admin who can act is refused.
import { createHash, randomUUID } from 'node:crypto';
import { monotonicMs, sleep } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Db } from '../db/pool.ts';
import {
  beginErasure,
  deleteSomeLogs,
  deleteUserRows,
  forgetInEvents,
  isBeingErased,
  listInstancesToForget,
  wasErased,
} from '../db/queries/erasure.ts';
import { insertEvent } from '../db/queries/events.ts';
import { lockUserAmongAdmins } from '../db/queries/users.ts';
import type { Actor, Manager } from '../instances/types.ts';

export interface ErasureOptions {
  readonly db: Db;
  readonly log: Logger;
  readonly manager: Pick<Manager, 'remove' | 'settled'>;
}

/** Whether all is gone, or instances are still ending: then the rest follows by itself, or when asked again. */
export type Erasure = 'erased' | 'ending';

/** Longest an answer waits for processes to end, and then for the receipts of their ends, milliseconds. */
const endMsMax = 20_000;
const receiptMsMax = 3_000;
const lookMs = 100;
/** Log lines deleted in one statement. */
const linesAtOnce = 5_000;
const atOnceMax = 5;

/** Erases a user. Asking again is no error, as long as the trail remembers. @throws Fault not_found, illegal_in_status */
export async function eraseUser(options: ErasureOptions, actor: Actor, id: string): Promise<Erasure> {
  if ((await begin(options.db, actor, id)) === 'erased') return 'erased';
  return finishErasure(options, actor, id);
}

/** Goes on with an erasure that has begun. */
export async function finishErasure(options: ErasureOptions, actor: Actor, id: string): Promise<Erasure> {
  const { db } = options;
  if (!(await endInstances(options, actor, id))) return 'ending';
  await receipts(db, id);
  let lines = 0;
  for (const instance of await listInstancesToForget(db, id)) {
    for (let gone = linesAtOnce; gone === linesAtOnce; lines += gone) {
      gone = await deleteSomeLogs(db, instance.id, linesAtOnce);
    }
  }
  await db.tx(async (tx) => {
    if (!(await isBeingErased(tx, id))) return;
    const pseudonym = randomUUID();
    const events = await forgetInEvents(tx, id, pseudonym);
    const instances = await deleteUserRows(tx, id);
    const isSelf = actor.userId === id;
    await insertEvent(tx, {
      instanceId: null,
      userId: null,
      actorId: isSelf ? pseudonym : actor.userId,
      type: 'user_erased',
      data: { subject: fingerprint(id), instances, events, log_lines: lines },
      ...(isSelf ? {} : { ip: actor.ip, userAgent: actor.userAgent }),
    });
  });
  return 'erased';
}

/** Of the id alone, which is random: it says nothing, but whoever has the id can see that its erasure was done. */
function fingerprint(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}

function begin(db: Db, actor: Actor, id: string): Promise<Erasure> {
  return db.tx(async (tx) => {
    const found = await lockUserAmongAdmins(tx, id);
    if (found === undefined) {
      if (await isBeingErased(tx, id)) return 'ending';
      if (await wasErased(tx, fingerprint(id))) return 'erased';
      throw new Fault('not_found', `there is no user ${id}`);
    }
    if (found.activeAdminIds.length === 1 && found.activeAdminIds[0] === id) {
      throw new Fault('illegal_in_status', 'this is the last admin who can act; make another one first');
    }
    await beginErasure(tx, id);
    await insertEvent(tx, {
      instanceId: null,
      userId: id,
      actorId: actor.userId,
      type: 'user_erasing',
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
    return 'ending';
  });
}

/** @returns whether nothing of theirs is at work any more */
async function endInstances(
  { db, log, manager }: ErasureOptions,
  actor: Actor,
  id: string,
): Promise<boolean> {
  const endMs = monotonicMs() + endMsMax;
  const live = (await listInstancesToForget(db, id)).filter((one) => !one.is_removed || !one.is_at_rest);
  for (let from = 0; from < live.length; from += atOnceMax) {
    const some = live.slice(from, from + atOnceMax);
    await Promise.all(
      some.map(async (one) => {
        try {
          await manager.remove(actor, one.id);
          await manager.settled(one.id, Math.max(endMs - monotonicMs(), 0));
        } catch (error) {
          log.info(
            { instance: one.id, reason: messageOf(error) },
            'an instance of an erased user did not end',
          );
        }
      }),
    );
  }
  return (await listInstancesToForget(db, id)).every((one) => one.is_removed && one.is_at_rest);
}

/** Gives what wipes the homes a moment to say that it has. */
async function receipts(db: Db, id: string): Promise<void> {
  const endMs = monotonicMs() + receiptMsMax;
  while (monotonicMs() < endMs) {
    if ((await listInstancesToForget(db, id)).every((one) => one.has_receipt)) return;
    await sleep(lookMs);
  }
}
