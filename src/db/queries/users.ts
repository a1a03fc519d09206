// Statements on users. Passwords are not used yet: the column holds a value no password hashes to. Nothing here decides
// who may do what.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const rowSchema = z.object({
  id: z.string(),
  email: z.string(),
  name: z.string(),
  role: z.enum(['user', 'admin']),
  max_instances: z.number().nullable(),
  disabled_at: z.date().nullable(),
  created_at: z.date(),
});
export type UserRow = z.infer<typeof rowSchema>;

const columns = 'id, email, name, role, max_instances, disabled_at, created_at';

export interface NewUser {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly role: 'user' | 'admin';
  readonly max_instances: number | null;
}

/** Writes a user; a taken address breaks users_email_key. */
export async function insertUser(q: Queryable, user: NewUser): Promise<UserRow> {
  const rows = await q.query(
    `INSERT INTO users (id, email, password_hash, name, role, max_instances)
     VALUES ($1, $2, '!', $3, $4, $5) RETURNING ${columns}`,
    [user.id, user.email, user.name, user.role, user.max_instances],
  );
  return rowSchema.parse(rows[0]);
}

export async function readUser(q: Queryable, id: string): Promise<UserRow | undefined> {
  const rows = await q.query(`SELECT ${columns} FROM users WHERE id = $1 AND deleted_at IS NULL`, [id]);
  return rows[0] === undefined ? undefined : rowSchema.parse(rows[0]);
}

export async function readUserByEmail(q: Queryable, email: string): Promise<UserRow | undefined> {
  const rows = await q.query(`SELECT ${columns} FROM users WHERE email = $1 AND deleted_at IS NULL`, [email]);
  return rows[0] === undefined ? undefined : rowSchema.parse(rows[0]);
}

export async function hasUsers(q: Queryable): Promise<boolean> {
  const rows = await q.query<{ any: boolean }>('SELECT EXISTS (SELECT FROM users) AS any');
  return rows[0]?.any ?? false;
}

/** A page of users in the order of their ids, which is the order they were made in. */
export async function listUsers(
  q: Queryable,
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<UserRow[]> {
  const rows = await q.query(
    `SELECT ${columns} FROM users WHERE deleted_at IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2`,
    [page.afterId, page.limit],
  );
  return rows.map((row) => rowSchema.parse(row));
}

/**
 * Locks a user and every admin, so that of two who demote each other's last colleague one sees the other.
 * @returns the user and the ids of the admins who can act
 */
export async function lockUserAmongAdmins(
  q: Queryable,
  id: string,
): Promise<{ user: UserRow; activeAdminIds: string[] } | undefined> {
  const rows = (
    await q.query(
      `SELECT ${columns} FROM users WHERE deleted_at IS NULL AND (id = $1 OR role = 'admin') ORDER BY id FOR UPDATE`,
      [id],
    )
  ).map((row) => rowSchema.parse(row));
  const user = rows.find((row) => row.id === id);
  if (user === undefined) return undefined;
  const admins = rows.filter((row) => row.role === 'admin' && row.disabled_at === null);
  return { user, activeAdminIds: admins.map((row) => row.id) };
}

export interface UserPatch {
  readonly name?: string | undefined;
  readonly role?: 'user' | 'admin' | undefined;
  readonly max_instances?: number | null | undefined;
  readonly disabled?: boolean | undefined;
}

/** Changes what the patch names. An already disabled user keeps the time of the first disabling. */
export async function updateUser(q: Queryable, id: string, patch: UserPatch): Promise<UserRow> {
  const rows = await q.query(
    `UPDATE users SET
       name = coalesce($2, name),
       role = coalesce($3, role),
       max_instances = CASE WHEN $4 THEN $5::int ELSE max_instances END,
       disabled_at = CASE WHEN $6::boolean IS NULL THEN disabled_at
         WHEN $6 THEN coalesce(disabled_at, clock_timestamp()) ELSE NULL END,
       updated_at = clock_timestamp()
     WHERE id = $1 RETURNING ${columns}`,
    [
      id,
      patch.name ?? null,
      patch.role ?? null,
      patch.max_instances !== undefined,
      patch.max_instances ?? null,
      patch.disabled ?? null,
    ],
  );
  return rowSchema.parse(rows[0]);
}

/** Instances at work whose owner is disabled: what a disabling that was cut short left running. */
export async function listAtWorkOfDisabled(q: Queryable, limit: number): Promise<string[]> {
  const rows = await q.query<{ id: string }>(
    `SELECT i.id FROM mcp_instances i JOIN users u ON u.id = i.user_id
     WHERE u.disabled_at IS NOT NULL AND i.status IN ('pending', 'running') AND i.deleted_at IS NULL LIMIT $1`,
    [limit],
  );
  return rows.map((row) => row.id);
}
