// Reads of the port pool, for admins and for metrics. Leasing is in queries/ports.ts.
import { z } from 'zod';
import type { Queryable } from '../pool.ts';

const rowSchema = z.object({
  node_id: z.string(),
  port: z.number(),
  is_available: z.boolean(),
  mcp_instance_id: z.string().nullable(),
  allocated_at: z.date().nullable(),
  released_at: z.date().nullable(),
  quarantined_until: z.date().nullable(),
  quarantine_reason: z.string().nullable(),
});
export type PortRow = z.infer<typeof rowSchema>;

export interface PortListOptions {
  readonly nodeId?: string | undefined;
  readonly available?: boolean | undefined;
  readonly after: { readonly nodeId: string; readonly port: number } | null;
  readonly limit: number;
}

/** A page of ports by node and number. */
export async function listPorts(q: Queryable, options: PortListOptions): Promise<PortRow[]> {
  const rows = await q.query(
    `SELECT node_id, port, coalesce(is_available, false) AS is_available, mcp_instance_id, allocated_at, released_at,
       quarantined_until, quarantine_reason
     FROM port_allocations
     WHERE ($1::text IS NULL OR node_id = $1) AND ($2::boolean IS NULL OR is_available = $2)
       AND ($3::text IS NULL OR (node_id, port) > ($3, $4::int))
     ORDER BY node_id, port LIMIT $5`,
    [
      options.nodeId ?? null,
      options.available ?? null,
      options.after?.nodeId ?? null,
      options.after?.port ?? null,
      options.limit,
    ],
  );
  return rows.map((row) => rowSchema.parse(row));
}

/** Ports of every node by what they are: free, held by an instance, or in quarantine. */
export async function countPorts(
  q: Queryable,
): Promise<{ node_id: string; state: 'free' | 'held' | 'quarantined'; count: number }[]> {
  return q.query(
    `SELECT node_id, CASE WHEN mcp_instance_id IS NOT NULL OR NOT is_available THEN 'held'
       WHEN quarantined_until > clock_timestamp() THEN 'quarantined' ELSE 'free' END AS state, count(*) AS count
     FROM port_allocations GROUP BY 1, 2`,
  );
}
