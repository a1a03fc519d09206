// Rows that tests of the database stand on: a user, a type, a node, an instance, with what the schema insists on.
import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../src/db/pool.ts';

export async function addUser(q: Queryable, role: 'user' | 'admin' = 'user'): Promise<string> {
  const id = randomUUID();
  await q.query(
    `INSERT INTO users (id, email, password_hash, name, role) VALUES ($1, $2, '', 'someone', $3)`,
    [id, `${id}@example.com`, role],
  );
  return id;
}

export async function addType(q: Queryable): Promise<string> {
  const id = randomUUID();
  await q.query(
    `INSERT INTO mcp_types (id, name, display_name, server_script, package_name, package_version)
     VALUES ($1::uuid, 'type-' || $1, 'A type', 'index.js', 'a-package', '1.0.0')`,
    [id],
  );
  return id;
}

/** A node held at epoch 1. */
export async function addNode(q: Queryable, id = `node-${randomUUID()}`): Promise<string> {
  await q.query('INSERT INTO nodes (id, epoch) VALUES ($1, 1)', [id]);
  return id;
}

export interface InstanceRow {
  readonly userId: string;
  readonly typeId: string;
  readonly nodeId: string;
}

/** An instance at rest; `of` names what it hangs on, and what is missing is made. */
export async function addInstance(q: Queryable, of: Partial<InstanceRow> = {}): Promise<string> {
  const id = randomUUID();
  const userId = of.userId ?? (await addUser(q));
  const typeId = of.typeId ?? (await addType(q));
  const nodeId = of.nodeId ?? (await addNode(q));
  await q.query(
    `INSERT INTO mcp_instances (id, user_id, mcp_type_id, node_id, name, access_token, access_url, status, expires_at)
     VALUES ($1::uuid, $2, $3, $4, 'i-' || $1, encode(sha256($1::text::bytea), 'hex'), 'http://127.0.0.1:1/mcp',
       'disconnected', clock_timestamp() + interval '1 hour')`,
    [id, userId, typeId, nodeId],
  );
  return id;
}
