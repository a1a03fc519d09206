// What the bench of the API reads among: a hundred thousand instances, and the lines of one of them.
import type { Db } from '../../src/db/pool.ts';

const linesAtOnce = 100_000;

export interface Filled {
  readonly userId: string;
  readonly instanceId: string;
}

/** One in a hundred instances at work, as the years make it; their lines stand in the order of their ids. */
export async function fill(db: Db, nodeId: string, instances: number, lines: number): Promise<Filled> {
  await db.query(
    `INSERT INTO mcp_types (name, display_name, server_script, package_name, package_version)
     VALUES ('bench', 'Bench', 'index.js', 'a-package', '1.0.0')`,
  );
  await db.query(
    `INSERT INTO users (email, password_hash, name) SELECT n || '@example.com', '!', 'u' FROM generate_series(1, 5000) AS n`,
  );
  await db.query(
    `INSERT INTO mcp_instances (user_id, mcp_type_id, node_id, name, access_token, access_url, status, created_at, expires_at)
     SELECT u.id, t.id, $1, 'i-' || n, md5(n::text) || n, 'http://127.0.0.1/mcp', 'expired',
       now() - n * interval '1 minute', now() + interval '1 day'
     FROM generate_series(1, $2::int) AS n CROSS JOIN (SELECT id FROM mcp_types WHERE name = 'bench') AS t
     JOIN (SELECT id, row_number() OVER () AS at FROM users) AS u ON u.at = 1 + n % 5000`,
    [nodeId, instances],
  );
  const [one] = await db.query<{ id: string; user_id: string }>(
    'SELECT id, user_id FROM mcp_instances ORDER BY created_at DESC LIMIT 1',
  );
  const filled = { userId: one?.user_id ?? '', instanceId: one?.id ?? '' };
  for (let from = 1; from <= lines; from += linesAtOnce) {
    await db.query(
      `INSERT INTO mcp_logs (id, mcp_instance_id, timestamp, message)
       SELECT ('01a1fcf8-' || lpad(to_hex(n / 65536), 4, '0') || '-7' || lpad(to_hex(n / 16 % 4096), 3, '0') || '-8' || to_hex(n % 16) || '00-000000000000')::uuid,
         $1, now() - ($4 - n) * interval '1 millisecond', 'a line of an ordinary server, which answers request ' || n || ' in ' || n % 100 || ' ms'
       FROM generate_series($2::int, $3::int) AS n`,
      [filled.instanceId, from, Math.min(from + linesAtOnce - 1, lines), lines],
    );
  }
  await db.query('ANALYZE');
  return filled;
}
