// Stepping down, inside a transaction, into a role that may do less.
import type { Queryable } from '../pool.ts';

/** From here to the end of the transaction: insert log lines and move offsets, nothing else. */
export async function lowerToShipper(q: Queryable): Promise<void> {
  await q.query('SET LOCAL ROLE minimcp_shipper');
}

/**
 * Whether COPY works in the shipper's role. It needs BYPASSRLS, because PostgreSQL refuses COPY under row-level
 * security, and only a superuser can grant that.
 */
export async function canShip(q: Queryable): Promise<boolean> {
  const rows = await q.query<{ can: boolean }>(
    `SELECT rolbypassrls AND pg_has_role(current_user, oid, 'MEMBER') AS can FROM pg_roles WHERE rolname = 'minimcp_shipper'`,
  );
  return rows[0]?.can === true;
}
