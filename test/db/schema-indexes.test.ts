// The statements that run often, on tables as large as they may become: each is answered from an index, under row-level
// security where the API runs it so. The statements are taken from the functions that send them. docs/indexes.md lists
// every index with what it is for and the plan as it was found at this size.
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Principal, Queryable } from '../../src/db/pool.ts';
import { deleteApiKey, listApiKeys, listRunningOfType, readApiKey } from '../../src/db/queries/api-keys.ts';
import { listTokens, presentToken } from '../../src/db/queries/api-tokens.ts';
import { listInstancesToForget, wasErased } from '../../src/db/queries/erasure.ts';
import { listEvents } from '../../src/db/queries/event-views.ts';
import { hasReceipt } from '../../src/db/queries/events.ts';
import { listInstanceViews } from '../../src/db/queries/instance-views.ts';
import {
  countAgainstQuota,
  listAsleep,
  listAtWork,
  listAtWorkOf,
  listOverdue,
  readInstance,
  takeWarnings,
} from '../../src/db/queries/instances.ts';
import { logsStoredAfter, pageLogs, scanLogs } from '../../src/db/queries/log-looks.ts';
import { readStoredToday } from '../../src/db/queries/log-offsets.ts';
import { newestLogId, newestLogIdOf } from '../../src/db/queries/logs.ts';
import { countEndingLeases, readMemory } from '../../src/db/queries/metric-views.ts';
import { isPortFreeOf, lockFreePort } from '../../src/db/queries/ports.ts';
import { secondsUntilCreation } from '../../src/db/queries/quota.ts';
import { listUsage, readUsage } from '../../src/db/queries/usage.ts';
import { readUserByEmail } from '../../src/db/queries/users.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { addType, addUser } from '../support/rows.ts';
import { root } from '../support/source.ts';

let database: TestDatabase;
let userId: string;
let instanceId: string;
const nodeId = 'node-1';
const instances = 100_000;
const lines = 200_000;

beforeAll(async () => {
  database = await testDatabase();
  await database.db.tx(fill);
}, 240_000);

async function fill(db: Queryable): Promise<void> {
  // On a busy machine some of these take longer than a statement may; foreign keys, not looked at, would take longest.
  await db.query(`SET LOCAL statement_timeout = '200s'`);
  await db.query(`SET LOCAL session_replication_role = 'replica'`);
  const typeId = await addType(db);
  await db.query(`INSERT INTO nodes (id, epoch) SELECT 'node-' || n, 1 FROM generate_series(1, 10) AS n`);
  await db.query(
    `INSERT INTO users (email, password_hash, name) SELECT n || '@example.com', '!', 'u' FROM generate_series(1, 5000) AS n`,
  );
  await db.query(
    `INSERT INTO crypto_keys (key_id, check_value, state) VALUES ('k1', 'x', 'active'), ('k2', 'x', 'decrypt')`,
  );
  await db.query(
    `INSERT INTO api_keys (user_id, mcp_type_id, encrypted_key, encryption_iv, key_id) SELECT id, $1, 'x', 'x', 'k1' FROM users`,
    [typeId],
  );
  // One in a hundred is at work, as the years make it.
  await db.query(
    `INSERT INTO mcp_instances (user_id, mcp_type_id, node_id, name, access_token, access_url, status, assigned_port,
       created_at, expires_at, deleted_at)
     SELECT u.id, $1, 'node-' || (1 + n % 10), 'i-' || n, md5(n::text) || n, 'http://127.0.0.1/mcp',
       CASE WHEN n % 100 = 0 THEN 'running' ELSE 'expired' END, CASE WHEN n % 100 = 0 THEN 3001 + n / 100 END,
       now() - n * interval '1 minute', now() + (1 - n % 100) * interval '1 minute', CASE WHEN n % 2 = 1 THEN now() END
     FROM generate_series(1, $2::int) AS n
     JOIN (SELECT id, row_number() OVER () AS at FROM users) AS u ON u.at = 1 + n % 5000`,
    [typeId, instances],
  );
  const some = await db.query<{ id: string; user_id: string }>(
    `SELECT id, user_id FROM mcp_instances WHERE status = 'running' ORDER BY id LIMIT 200`,
  );
  ({ id: instanceId, user_id: userId } = some[0] ?? { id: '', user_id: '' });
  await db.query(
    `INSERT INTO mcp_logs (id, mcp_instance_id, timestamp, level, message)
     SELECT ('01a1fcf8-' || lpad(to_hex(n / 65536), 4, '0') || '-7' || lpad(to_hex(n / 16 % 4096), 3, '0') || '-8' || to_hex(n % 16) || '00-000000000000')::uuid,
       ($1::uuid[])[1 + n % 200], now() - (200000 - n) * interval '10 milliseconds',
       CASE WHEN n % 50 = 0 THEN 'error' ELSE 'info' END, 'a line'
     FROM generate_series(1, $2::int) AS n`,
    [some.map((row) => row.id), lines],
  );
  await db.query(
    `INSERT INTO mcp_events (id, mcp_instance_id, user_id, event_type, created_at)
     SELECT gen_random_uuid(), id, user_id, 'created', now() - (random() * 1000) * interval '1 second' FROM mcp_instances LIMIT 50000`,
  );
  await db.query(
    `INSERT INTO api_tokens (user_id, token_hash, prefix) SELECT id, sha256(id::text::bytea), 'mmt_' FROM users`,
  );
  await db.query(
    `INSERT INTO port_allocations (node_id, port, is_available)
     SELECT 'node-' || n, port, true FROM generate_series(1, 10) AS n, generate_series(3001, 8000) AS port`,
  );
  await db.query(
    `INSERT INTO instance_usage (instance_id, at, generation, cpu_percent)
     SELECT id, date_trunc('minute', now()) - n * interval '1 minute', 1, 1 FROM unnest($1::uuid[]) AS id, generate_series(1, 300) AS n`,
    [some.map((row) => row.id)],
  );
  await db.query(
    `INSERT INTO log_offsets (spool, mcp_instance_id) SELECT id || '/1', id FROM mcp_instances LIMIT 20000`,
  );
  await db.query('ANALYZE');
}

afterAll(async () => {
  // "UPDATE_DOCS=1 vitest run test/db/schema-indexes.test.ts" writes it anew, with the plans of this run.
  if (process.env.UPDATE_DOCS === '1') writeFileSync(docsFile, await docsText());
  await database.dispose();
});

const thisMonth = new Date().toISOString().slice(0, 7).replace('-', '');
const docsFile = join(root, 'docs', 'indexes.md');

/** What was found in this run, by index: who asks for what, and how it was answered. */
const uses = new Map<string, string[]>();

interface Plan {
  readonly 'Node Type': string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Index Name'?: string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly Plan[];
}

/** How PostgreSQL answers what `send` asks: the indexes it uses and the tables it reads from end to end. */
async function planOf(
  send: (q: Queryable) => Promise<unknown>,
  principal?: Principal,
): Promise<{ indexes: string[]; nodes: Plan[]; scanned: string[]; ms: number }> {
  let asked: { sql: string; params: readonly unknown[] } | undefined;
  const settings: string[] = [];
  const listening: Queryable = {
    query: (sql, params = []) => {
      if (sql.startsWith('SELECT set_config')) {
        settings.push(sql);
        return Promise.resolve([]);
      }
      asked ??= { sql, params };
      return Promise.reject(new Error('heard'));
    },
  };
  await send(listening).catch(() => {});
  const { sql, params } = asked ?? { sql: '', params: [] };
  const explain = async (q: Queryable) => {
    for (const setting of settings) await q.query(setting);
    return q.query<{ 'QUERY PLAN': [{ Plan: Plan; 'Execution Time': number }] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`,
      params,
    );
  };
  const rows =
    principal === undefined ? await database.db.tx(explain) : await database.db.as(principal, explain);
  const [{ Plan: top, 'Execution Time': ms } = { Plan: { 'Node Type': '' }, 'Execution Time': 0 }] =
    rows[0]?.['QUERY PLAN'] ?? [];
  const nodes = [top];
  for (const node of nodes) nodes.push(...(node.Plans ?? []));
  return {
    indexes: [...new Set(nodes.flatMap((node) => node['Index Name'] ?? []))],
    nodes,
    // A partition that is empty costs nothing, and is read as one pleases.
    scanned: nodes
      .filter((node) => node['Node Type'] === 'Seq Scan' && !/_p\d+$/.test(node['Relation Name'] ?? ''))
      .flatMap((node) => node['Relation Name'] ?? []),
    ms,
  };
}

const all = { includeEnded: true, after: null, limit: 50 };
const page = { after: null, limit: 100 };
type Ask = (q: Queryable) => Promise<unknown>;
const asPerson: readonly [string, Ask, RegExp][] = [
  [
    'own instances',
    (q) => listInstanceViews(q, { ...all, viewerId: userId }),
    /user_created|user_status|_name/,
  ],
  ['last lines', (q) => pageLogs(q, { instanceId, ...page }), /timestamp|pkey/],
  ['last warnings', (q) => pageLogs(q, { instanceId, level: 'warn', ...page }), /timestamp|level|pkey/],
  ['first lines', (q) => scanLogs(q, { instanceId, ...page }), /timestamp|pkey/],
  [
    'lines since a moment ago',
    (q) => pageLogs(q, { instanceId, since: new Date(Date.now() - 60_000), ...page }),
    /timestamp|pkey/,
  ],
  ['lines with a text', (q) => pageLogs(q, { instanceId, contains: 'line', ...page }), /timestamp|pkey/],
  [
    'lines with a text that is not there',
    (q) => scanLogs(q, { instanceId, contains: 'nowhere', ...page }),
    /timestamp|pkey/,
  ],
  [
    'lines stored after one',
    (q) => logsStoredAfter(q, { instanceId, afterId: '01a1fcf8-0002-7fff-8f00-000000000000', limit: 200 }),
    /pkey/,
  ],
  ['the newest line of an instance', (q) => newestLogIdOf(q, instanceId), /pkey/],
  [
    'events of an instance',
    (q) => listEvents(q, { viewerId: null, instanceId, after: null, limit: 50 }),
    /instance/,
  ],
  [
    'what an instance used',
    (q) => readUsage(q, { instanceId, since: null, until: null, points: 300 }),
    /instance_usage_pkey/,
  ],
  ['what own work used', (q) => listUsage(q, { viewerId: userId, samples: 30, limit: 500 }), /usage_pkey/],
  ['own events', (q) => listEvents(q, { viewerId: userId, after: null, limit: 50 }), /user_id|created_at/],
];
const asAdmin: readonly [string, Ask, RegExp][] = [
  ['everyone’s instances', (q) => listInstanceViews(q, { ...all, viewerId: null }), /created/],
  ['what all work used', (q) => listUsage(q, { viewerId: null, samples: 30, limit: 500 }), /usage_pkey/],
  ['everyone’s events', (q) => listEvents(q, { viewerId: null, after: null, limit: 50 }), /created_at/],
  ['last lines', (q) => pageLogs(q, { instanceId, ...page }), /timestamp|pkey/],
  [
    'what somebody did to others',
    (q) => listEvents(q, { viewerId: null, actorId: userId, notOfUserId: userId, after: null, limit: 500 }),
    /actor/,
  ],
];
const asSupervisor: readonly [string, Ask, RegExp][] = [
  ['an instance', (q) => readInstance(q, instanceId), /pkey/],
  ['a node’s work', (q) => listAtWork(q, nodeId), /at_work|status/],
  ['a node’s sleepers', (q) => listAsleep(q, nodeId), /port/],
  ['what is overdue', (q) => listOverdue(q, nodeId, 100), /expires_at|status|at_work/],
  ['who is to be warned', (q) => takeWarnings(q, nodeId, 5), /at_work|status|expires_at/],
  ['a quota', (q) => countAgainstQuota(q, userId), /user/],
  ['a person’s work', (q) => listAtWorkOf(q, userId), /user/],
  ['the key for a launch', (q) => readApiKey(q, userId, randomUUID()), /api_keys/],
  ['a person’s keys', (q) => listApiKeys(q, userId), /api_keys/],
  ['a key to remove', (q) => deleteApiKey(q, userId, randomUUID()), /api_keys/],
  ['creations within the hour', (q) => secondsUntilCreation(q, userId, 600), /user_id/],
  ['what runs with a key', (q) => listRunningOfType(q, userId, randomUUID()), /user|type/],
  ['leases about to end', (q) => countEndingLeases(q), /expires_at|status|at_work/],
  ['memory of what runs', (q) => readMemory(q), /status|at_work/],
  ['what is to be forgotten', (q) => listInstancesToForget(q, userId), /user/],
  ['about the newest line', (q) => newestLogId(q), /timestamp/],
  ['who shows a token', (q) => presentToken(q, Buffer.alloc(32), null), /token_hash/],
  ['a person’s tokens', (q) => listTokens(q, { userId, afterId: null, limit: 50 }), /api_tokens/],
  ['a person by address', (q) => readUserByEmail(q, '7@example.com'), /email/],
  ['the port that rested longest', (q) => lockFreePort(q, nodeId, { from: 3_001, to: 8_000 }), /lru/],
  ['the port of an instance', (q) => isPortFreeOf(q, instanceId), /_mcp|port/],
  ['whether somebody was erased', (q) => wasErased(q, 'nobody'), /erased|expr/],
  ['a receipt', (q) => hasReceipt(q, instanceId, 1), /instance/],
  ['what was logged today', (q) => readStoredToday(q, instanceId), /log_offsets_instance/],
];

describe('from an index, among 100,000 instances and many lines, comes', () => {
  it.each(asPerson)('for a person: %s', async (what, ask, index) => {
    await holds(`a person: ${what}`, await planOf(ask, { userId, role: 'user' }), index);
  });
  it.each(asAdmin)('for an admin: %s', async (what, ask, index) => {
    const admin = await addUser(database.db, 'admin');
    await holds(`an admin: ${what}`, await planOf(ask, { userId: admin, role: 'admin' }), index);
  });
  it.each(asSupervisor)('for the supervisor: %s', async (what, ask, index) => {
    await holds(`the supervisor: ${what}`, await planOf(ask), index);
  });
});

async function holds(what: string, plan: Awaited<ReturnType<typeof planOf>>, index: RegExp): Promise<void> {
  for (const node of plan.nodes) {
    const name = node['Index Name'];
    // Of a partition that is empty nothing can be learned.
    if (name === undefined || (node['Actual Loops'] ?? 0) === 0) continue;
    const parent = await parentOf(name);
    const rows = (node['Actual Rows'] ?? 0) * (node['Actual Loops'] ?? 1);
    if (/_p\d+/.test(name) && !name.includes(thisMonth)) continue;
    const said = uses.get(parent) ?? [];
    const use = `${what} (${node['Node Type']}, ${Math.round(rows)} rows, ${plan.ms.toFixed(1)} ms)`;
    if (!said.some((one) => one.startsWith(`${what} (`))) said.push(use);
    uses.set(parent, said);
  }
  expect(
    plan.scanned.filter((table) => /mcp_instances|mcp_logs|mcp_events|api_keys|usage/.test(table)),
  ).toEqual([]);
  expect(
    plan.indexes.some((name) => index.test(name)),
    plan.indexes.join(),
  ).toBe(true);
}

/** The index of the parent that one of a partition is part of. */
async function parentOf(name: string): Promise<string> {
  const rows = await database.db.query<{ name: string }>(
    `SELECT coalesce(p.relname, c.relname) AS name FROM pg_class c
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
     WHERE c.relname = $1 AND c.relkind IN ('i', 'I')`,
    [name],
  );
  return rows[0]?.name ?? name;
}

/** Every index of ours: its table, its columns, and what it forbids. */
function listIndexes(): Promise<{ name: string; of: string; rule: string }[]> {
  return database.db.query(
    `SELECT c.relname AS name, t.relname || regexp_replace(pg_get_indexdef(c.oid), '^.*?( USING \\w+ )', CASE am.amname WHEN 'btree' THEN ' ' ELSE '\\1' END) AS of,
       CASE WHEN indisprimary THEN 'primary key' WHEN indisunique THEN 'unique' ELSE '' END AS rule
     FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am am ON am.oid = c.relam JOIN pg_class t ON t.oid = indrelid
     WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition AND t.relname <> 'pgmigrations' ORDER BY t.relname, c.relname`,
  );
}

async function docsText(): Promise<string> {
  const prose = readFileSync(docsFile, 'utf8').split('| index |', 1)[0] ?? '';
  const rows = (await listIndexes()).map(({ name, of, rule }) => {
    const served = (uses.get(name) ?? []).join('; ');
    const otherwise = rule === '' ? 'none of these' : `the rule: ${rule}`;
    return `| \`${name}\` | \`${of}\` | ${served === '' ? otherwise : served} |`;
  });
  return `${prose}${['| index | on | serves |', '|---|---|---|', ...rows, ''].join('\n')}`;
}

it('docs/indexes.md lists every index there is, and none that is not', async () => {
  const listed = [...readFileSync(docsFile, 'utf8').matchAll(/^\| `(\w+)` \| `([^`]+)`/gm)];
  const there = (await listIndexes()).map(({ name, of }) => `${name}: ${of}`);
  if (process.env.UPDATE_DOCS !== '1') {
    expect(listed.map(([, name, of]) => `${name}: ${of}`).sort()).toEqual(there.sort());
  }
  for (const name of uses.keys()) expect(there.map((one) => one.split(':')[0])).toContain(name);
});
