// The database of a bench's supervisor, past the supervisor: the embedded one, or DATABASE_URL where that is set.
import { join } from 'node:path';
import pg from 'pg';
import type { Supervisor } from './supervisor.ts';

/** Works with a connection of its own. */
export async function withClient<Result>(
  { dataDir }: Supervisor,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const url = process.env.DATABASE_URL;
  const embedded = { host: join(dataDir, 'pg', 'run'), port: 5432, user: 'minimcp', database: 'minimcp' };
  const client = new pg.Client(url === undefined ? embedded : { connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
