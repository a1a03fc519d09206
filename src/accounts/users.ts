// Users: making, changing and disabling them. Disabling ends their instances; the last admin who can act can be neither
// disabled nor made an ordinary user. Every change is an event that says before and after.
import { randomUUIDv7 } from 'node:crypto';
import { Fault, fieldFault } from '../base/errors.ts';
import { brokenConstraint, type Db } from '../db/pool.ts';
import { insertEvent } from '../db/queries/events.ts';
import { deleteLoginsOfUser } from '../db/queries/sessions.ts';
import {
  insertUser,
  lockUserAmongAdmins,
  type UserPatch,
  type UserRow,
  updateUser,
} from '../db/queries/users.ts';
import type { Actor } from '../instances/types.ts';

export interface NewUserWish {
  readonly email: string;
  readonly name: string;
  readonly role: 'user' | 'admin';
  readonly max_instances?: number | null | undefined;
}

/** Makes a user; email_taken when the address is somebody's. Addresses are kept in lower case. */
export async function createUser(db: Db, actor: Actor, wish: NewUserWish): Promise<UserRow> {
  const email = wish.email.toLowerCase();
  try {
    return await db.tx(async (tx) => {
      const user = await insertUser(tx, {
        id: randomUUIDv7(),
        email,
        name: wish.name,
        role: wish.role,
        max_instances: wish.max_instances ?? null,
      });
      await insertEvent(tx, {
        instanceId: null,
        userId: user.id,
        actorId: actor.userId,
        type: 'user_created',
        data: { after: described(user) },
        ip: actor.ip,
        userAgent: actor.userAgent,
      });
      return user;
    });
  } catch (error) {
    if (brokenConstraint(error) !== 'users_email_key') throw error;
    throw new Fault('email_taken', `there is a user with the address ${email}`, {
      errors: [{ pointer: '/email', message: 'choose another address' }],
      cause: error,
    });
  }
}

/** Changes a user in one transaction. What disabling entails for instances is the caller's next step. */
export async function changeUser(db: Db, actor: Actor, id: string, patch: UserPatch): Promise<UserRow> {
  return db.tx(async (tx) => {
    const found = await lockUserAmongAdmins(tx, id);
    if (found === undefined) throw new Fault('not_found', `there is no user ${id}`);
    const { user: before, activeAdminIds } = found;
    const isLastAdmin = activeAdminIds.length === 1 && activeAdminIds[0] === id;
    if (isLastAdmin && (patch.disabled === true || patch.role === 'user')) {
      const pointer = patch.disabled === true ? '/disabled' : '/role';
      throw fieldFault(
        'invalid_field',
        pointer,
        'this is the last admin who can act; make another one first',
      );
    }
    const after = await updateUser(tx, id, patch);
    if (after.disabled_at !== null) await deleteLoginsOfUser(tx, id);
    await insertEvent(tx, {
      instanceId: null,
      userId: id,
      actorId: actor.userId,
      type: 'user_changed',
      data: { before: described(before), after: described(after) },
      ip: actor.ip,
      userAgent: actor.userAgent,
    });
    return after;
  });
}

function described(user: UserRow): Record<string, unknown> {
  const { email, name, role, max_instances, disabled_at } = user;
  return { email, name, role, max_instances, disabled: disabled_at !== null };
}
