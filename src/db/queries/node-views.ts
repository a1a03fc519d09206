// Reads of what machines there are and which master keys, for admins. Nothing here changes a row.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const nodeSchema = z.object({
  id: z.string(),
  epoch: z.number(),
  state: z.enum(['active', 'draining', 'lost']),
  lease_until: z.date().nullable(),
  version: z.string(),
  capacity: z.record(z.string(), z.unknown()),
  holder: z.record(z.string(), z.unknown()),
});
export type NodeRow = z.infer<typeof nodeSchema>;

/** A page of nodes by id. */
export async function listNodes(
  q: Queryable,
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<NodeRow[]> {
  const rows = await q.query(
    `SELECT id, epoch, state, lease_until, version, capacity, holder FROM nodes
     WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2`,
    [page.afterId, page.limit],
  );
  return rows.map((row) => nodeSchema.parse(row));
}

const keySchema = z.object({
  key_id: z.string(),
  state: z.enum(['active', 'decrypt', 'retired']),
  created_at: z.date(),
  retired_at: z.date().nullable(),
  sealed: z.number(),
});
export type MasterKeyRow = z.infer<typeof keySchema>;

/** Every master key and how many API keys are sealed under it. Check values stay behind. */
export async function listMasterKeys(q: Queryable): Promise<MasterKeyRow[]> {
  const rows = await q.query(
    `SELECT c.key_id, c.state, c.created_at, c.retired_at,
       (SELECT count(*) FROM api_keys a WHERE a.key_id = c.key_id) AS sealed
     FROM crypto_keys c ORDER BY c.created_at DESC, c.key_id`,
  );
  return rows.map((row) => keySchema.parse(row));
}
