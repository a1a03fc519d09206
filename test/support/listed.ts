// What the list of instances on the dashboard is shown with: rows at rest without a process behind them, some that look like
// somebody's, and a type that has something to ask.
import type { InstanceView } from '../../src/api/contract.ts';
import type { Daemon } from './daemon.ts';

export type Person = Awaited<ReturnType<Daemon['user']>>;

/** Instances at rest, straight into the table, the first the newest; `n` in SQL counts them from 1. */
export async function addRows(
  daemon: Daemon,
  owner: Person,
  count: number,
  sql: Readonly<Record<string, string>>,
): Promise<void> {
  const {
    name,
    type = `'memory'`,
    status = `'disconnected'`,
    reason = `'user'`,
    end = `interval '2 hours'`,
    age = `interval '1 day'`,
  } = sql;
  await daemon.database.db.query(
    `INSERT INTO mcp_instances (user_id, mcp_type_id, node_id, name, access_token, access_url, status, stop_reason,
       created_at, expires_at)
     SELECT $1, (SELECT id FROM mcp_types WHERE name = ${type}), 'test', ${name}, encode(sha256(gen_random_uuid()::text::bytea), 'hex'),
       'http://127.0.0.1:1/mcp', ${status}, ${reason}, now() - ${age} - n * interval '1 minute', now() + ${end}
     FROM generate_series(1, $2::int) AS n`,
    [owner.id, count],
  );
}

/** Instances in four states under names as people give them; what runs has a course of what it used. */
export async function createBelievable(daemon: Daemon, owner: Person): Promise<InstanceView> {
  const memory = await daemon.create(
    { mcp_type: 'memory', duration_minutes: 210, name: 'team-memory' },
    owner.token,
  );
  const at = `'github'`;
  await addRows(daemon, owner, 1, {
    name: `'issue-triage'`,
    type: at,
    end: `interval '5 hours'`,
  });
  await addRows(daemon, owner, 1, {
    name: `'release-notes'`,
    type: at,
    status: `'error'`,
    reason: `'start_failed'`,
  });
  await addRows(daemon, owner, 1, {
    ...{ name: `'paper-drafts'`, type: `'filesystem'`, status: `'expired'`, reason: `'expired'` },
    end: `-interval '3 hours'`,
  });
  await daemon.database.db.query(
    `UPDATE mcp_instances SET created_at = created_at - interval '80 minutes', ready_at = ready_at - interval '80 minutes',
       last_accessed = now() - interval '3 minutes' WHERE user_id = $1 AND status = 'running'`,
    [owner.id],
  );
  await daemon.database.db.query(
    `INSERT INTO instance_usage (instance_id, at, generation, cpu_percent, memory_bytes)
     SELECT i.id, date_trunc('minute', now()) - n * interval '1 minute', 1, 5 + 4 * sin(n / 3.0 + length(i.name)) + (n * 7 % 5), (60 + length(i.name) * 2) * 1000000 - n * 300000 + n % 4 * 900000
     FROM mcp_instances AS i, generate_series(1, 80) AS n WHERE i.user_id = $1 AND i.status = 'running'`,
    [owner.id],
  );
  return memory;
}

/** A type that asks for two things, on the package of `everything`, whose tool get-env shows what it was told. */
export async function addGreeter(daemon: Daemon): Promise<void> {
  const { version } = (await daemon.call<{ version: string }>('GET', '/mcp-types/everything')).body.data;
  const answer = await daemon.call('POST', '/mcp-types?enable=true', {
    ...{ name: 'test.fixtures/greeter', title: 'Greeter', description: 'Greets', version },
    packages: [
      {
        registryType: 'npm',
        identifier: '@modelcontextprotocol/server-everything',
        version,
        transport: { type: 'stdio' },
        environmentVariables: [
          { name: 'GREETING', description: 'What to say', isRequired: true },
          { name: 'TONE', description: 'How to say it', choices: ['soft', 'loud'] },
        ],
      },
    ],
    _meta: { 'dev.minimcp/type': { name: 'greeter', script: 'dist/index.js', max_duration_minutes: 60 } },
  });
  if (answer.status !== 201) throw new Error(`the type was refused: ${JSON.stringify(answer)}`);
}
