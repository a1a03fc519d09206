// What is asked of the embedded server over its socket: whether it is up and the right one, and whether anybody else uses
// it. Who answers for another cluster is never taken for ours.
import { Client } from 'pg';
import { monotonicMs, sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { embeddedName } from './embedded-cluster.ts';
import type { ServerPlan } from './embedded-postmaster.ts';

/** Resolves when the server answers for this very cluster; undefined: it ended first. */
export async function untilReady(plan: ServerPlan, ended: Promise<string>): Promise<string | undefined> {
  const dueMs = monotonicMs() + plan.readyTimeoutMs;
  let end: string | undefined;
  void ended.then((said) => {
    end = said;
  });
  for (;;) {
    const answer = await ask(plan);
    if (answer === 'ready') return undefined;
    if (end !== undefined) return end;
    if (monotonicMs() > dueMs) return `it did not answer within ${plan.readyTimeoutMs / 1000} s: ${answer}`;
    await sleep(15);
  }
}

/** Connects, and checks that the one who answers is this cluster. Names its database on the first day. */
async function ask(plan: ServerPlan): Promise<string> {
  const answer = await askIn(plan, embeddedName, async () => {});
  if (!answer.includes('3D000')) return answer;
  return askIn(plan, 'template1', async (client) => {
    await client.query(`ALTER DATABASE postgres RENAME TO ${embeddedName}`);
  });
}

/** Whether anybody is connected but us. Our own connections, closed a moment ago, get a moment to vanish. */
export async function isUsed(plan: ServerPlan): Promise<boolean> {
  let others = 0;
  const count = async (client: Client): Promise<void> => {
    const { rows } = await client.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    );
    others = rows[0]?.n ?? 0;
  };
  for (const dueMs = monotonicMs() + 1_000; ; await sleep(50)) {
    if ((await askIn(plan, embeddedName, count)) !== 'ready') return false;
    if (others === 0 || monotonicMs() > dueMs) return others > 0;
  }
}

/** Does something in a database of the cluster. @returns "ready", or what went wrong */
async function askIn(
  plan: ServerPlan,
  database: string,
  fn: (client: Client) => Promise<void>,
): Promise<string> {
  const client = new Client({
    host: plan.socketDir,
    port: 5432,
    user: embeddedName,
    database,
    connectionTimeoutMillis: 3_000,
    query_timeout: 3_000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
    if (rows[0]?.data_directory !== plan.pgData) return `another cluster answers on ${plan.socketDir}`;
    await fn(client);
    return 'ready';
  } catch (error) {
    return `${(error as { code?: string }).code ?? ''} ${messageOf(error)}`;
  } finally {
    await client.end().catch(() => {});
  }
}
