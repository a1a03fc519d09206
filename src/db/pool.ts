// The one door to PostgreSQL: a pool, transactions, and the fence that stops a supervisor whose node was taken over.
// It refuses to guess: a lost connection is the Fault database_unavailable, never an empty result.
import { Pool, type PoolClient, type PoolConfig, types } from 'pg';
import { Fault } from '../base/errors.ts';

// BIGINT: every one in this schema (sequence numbers, byte offsets, epochs, counts) stays below 2^53.
types.setTypeParser(types.builtins.INT8, Number);

/** What a query function needs: the pool itself or a transaction. */
export interface Queryable {
  /** Runs one statement and returns its rows, as PostgreSQL names them. */
  query<Row>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
}

export interface Tx extends Queryable {
  /** The raw client, for COPY only. */
  readonly client: PoolClient;
}

/** Whose rows a transaction may see and change under row-level security. */
export interface Principal {
  readonly userId: string;
  readonly role: 'user' | 'admin';
}

/** The node and epoch a writer holds; a transaction under it fails with node_fenced once another has the node. */
export interface Fence {
  readonly nodeId: string;
  readonly epoch: number;
}

export interface Db extends Queryable {
  /**
   * Runs `fn` in a transaction; with a fence, every write in it is void if the node has a newer epoch. `fn` runs again
   * when PostgreSQL chose its transaction to end a deadlock: nothing of the time before is kept.
   */
  tx<T>(fn: (tx: Tx) => Promise<T>, fence?: Fence): Promise<T>;
  /** Runs `fn` in a transaction under the API's own role, where row-level security shows only what `principal` may see. */
  as<T>(principal: Principal, fn: (tx: Tx) => Promise<T>): Promise<T>;
  /** Connections in use, idle, and callers waiting. */
  stats(): { total: number; idle: number; waiting: number };
  close(): Promise<void>;
}

export interface DbOptions {
  readonly connection: Pick<
    PoolConfig,
    'connectionString' | 'host' | 'port' | 'user' | 'password' | 'database'
  >;
  readonly connectionsMax: number;
  /** How long a caller waits for a connection before database_unavailable, milliseconds. */
  readonly acquireTimeoutMs: number;
  /** Longest one statement may run, milliseconds. */
  readonly statementTimeoutMs: number;
  readonly onError: (error: Error) => void;
}

/** How often a transaction is run again that was given up to end a deadlock: who tries again can be chosen again. */
const deadlockRetries = 3;

/** Opens the pool. Connects lazily: a database that is away shows at the first query. */
export function openDb(options: DbOptions): Db {
  const pool = new Pool({
    ...options.connection,
    max: options.connectionsMax,
    connectionTimeoutMillis: options.acquireTimeoutMs,
    idleTimeoutMillis: 30_000,
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'minimcp',
    keepAlive: true,
  });
  // An idle connection that breaks is the pool's to replace; without a listener Node would end the process.
  pool.on('error', options.onError);

  const runOnce = async <T>(fn: (tx: Tx) => Promise<T>, before: (tx: Tx) => Promise<void>): Promise<T> => {
    const client = await pool.connect().catch((error: unknown) => Promise.reject(asFault(error)));
    let broken: Error | undefined;
    client.on('error', options.onError);
    const tx: Tx = { client, query: (sql, params) => rowsOf(client.query(sql, params as unknown[])) };
    try {
      await tx.query('BEGIN');
      await before(tx);
      const result = await fn(tx);
      await tx.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.off('error', options.onError);
      client.release(broken);
    }
  };

  const run = async <T>(fn: (tx: Tx) => Promise<T>, before: (tx: Tx) => Promise<void>): Promise<T> => {
    for (let retries = deadlockRetries; ; retries -= 1) {
      try {
        return await runOnce(fn, before);
      } catch (error) {
        if (!isDeadlock(error) || retries === 0) throw error;
      }
    }
  };

  return {
    query: (sql, params) => rowsOf(pool.query(sql, params as unknown[])),
    tx: (fn, fence) => run(fn, (tx) => (fence === undefined ? Promise.resolve() : holdFence(tx, fence))),
    as: (principal, fn) => run(fn, (tx) => stepDown(tx, principal)),
    stats: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => pool.end(),
  };
}

async function holdFence(tx: Tx, fence: Fence): Promise<void> {
  // KEY SHARE lets the holder renew its lease meanwhile, and makes a takeover (FOR UPDATE) wait for this transaction.
  const held = await tx.query('SELECT 1 FROM nodes WHERE id = $1 AND epoch = $2 FOR KEY SHARE', [
    fence.nodeId,
    fence.epoch,
  ]);
  if (held.length === 0) {
    throw new Fault('node_fenced', `node ${fence.nodeId} is no longer held at epoch ${fence.epoch}`);
  }
}

async function stepDown(tx: Tx, principal: Principal): Promise<void> {
  await tx.query('SET LOCAL ROLE minimcp_api');
  await tx.query(`SELECT set_config('minimcp.user_id', $1, true), set_config('minimcp.role', $2, true)`, [
    principal.userId,
    principal.role,
  ]);
}

async function rowsOf<Row>(result: Promise<{ rows: unknown[] }>): Promise<Row[]> {
  try {
    return (await result).rows as Row[];
  } catch (error) {
    throw asFault(error);
  }
}

/** SQLSTATE classes and codes that mean "not now" rather than "wrong": connection, resources, shutdown. */
const awayStates = /^(08|53|57P0[1-5]|58)/;
const awayErrnos = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** What PostgreSQL gives up for the sake of others; the same again may do better. */
const passing: Readonly<Record<string, string>> = {
  '57014': 'the database took too long for this and gave up',
  '40P01': 'the database ended a deadlock at the cost of this',
};

function isDeadlock(error: unknown): boolean {
  return error instanceof Fault && codeOf(error.cause) === '40P01';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function asFault(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = codeOf(error);
  const detail = passing[code];
  if (detail !== undefined)
    return new Fault('database_unavailable', detail, { retryAfterS: 1, cause: error });
  const away =
    awayStates.test(code) ||
    awayErrnos.has(code) ||
    /^Connection terminated|^timeout exceeded|encountered a connection error/.test(error.message);
  return away
    ? new Fault('database_unavailable', 'the database does not answer', { retryAfterS: 5, cause: error })
    : error;
}

/** Whether the database answers at all. */
export async function isReachable(q: Queryable): Promise<boolean> {
  return q.query('SELECT 1').then(
    () => true,
    () => false,
  );
}

/** The constraint a failed write broke, or undefined when it failed for another reason. */
export function brokenConstraint(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('constraint' in error)) return undefined;
  return typeof error.constraint === 'string' ? error.constraint : undefined;
}
