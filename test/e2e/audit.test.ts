// What a real run leaves in the trail and in the figures, the erasure of a person whose instance runs, and the examples of
// docs/api.md as they stand.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, LogLineView, StoredApiKeyView } from '../../src/api/contract.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { findProgram } from '../support/programs.ts';
import { root } from '../support/source.ts';
import { addProgramType } from '../support/types.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 12 });
});
afterAll(() => daemon.dispose());

const everyEvent = async (): Promise<EventView[]> =>
  (await daemon.call<EventView[]>('GET', '/events?limit=200')).body.data;

describe('the trail of a real run', () => {
  it('says who did what, from where', async () => {
    await daemon.call('PUT', '/settings/mcp.warn_before_minutes', { value: 10 });
    const { id: userId, token } = await daemon.user('trail');
    const patched = await daemon.call('PATCH', `/users/${userId}`, { max_instances: 3 });
    expect(patched.status).toBe(200);
    const extra = await daemon.call<{ id: string }>('POST', '/tokens', { name: 'extra' }, token);
    await daemon.call('DELETE', `/tokens/${extra.body.data.id}`, undefined, token);
    await daemon.call('PUT', '/api-keys/github', { api_key: 'a-key-of-no-use-1' }, token);
    await daemon.call('DELETE', '/api-keys/github', undefined, token);
    await daemon.call('GET', '/me', undefined, 'mmt_0123456789012345678901234567890123456789012');
    const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 6 }, token);
    const { id } = instance;
    const step = async (action: string, status: string, body?: unknown): Promise<void> => {
      const answer = await daemon.call('POST', `/instances/${id}/${action}`, body, token);
      expect(answer.status, `${action}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
      await daemon.until(id, status);
    };
    const has = (type: string) =>
      expect
        .poll(async () => (await everyEvent()).map((e) => e.event_type), { timeout: 35_000 })
        .toContain(type);
    await step('extend', 'running', { duration_minutes: 30 });
    await step('token', 'running');
    await step('restart', 'running');
    await has('restarted');
    await step('stop', 'disconnected');
    await step('restore', 'running');
    await daemon.call('DELETE', `/instances/${id}`, undefined, token);
    await has('receipt');
    const short = await daemon.create({ mcp_type: 'memory', duration_minutes: 0.5 }, token);
    // Within the last fifth of its lease, and before its end.
    await has('warned');
    await daemon.until(short.id, 'expired');
    await daemon.call('POST', `/instances/${short.id}/renew`, { duration_minutes: 5 }, token);
    await daemon.until(short.id, 'running');

    const events = await everyEvent();
    const seen = new Set(events.map((event) => event.event_type));
    const byPeople = [
      ...[
        'user_created',
        'user_changed',
        'token_created',
        'token_revoked',
        'setting_changed',
        'api_key_stored',
      ],
      ...['api_key_removed', 'created', 'extended', 'restored', 'renewed', 'token_changed'],
    ];
    const byItself = ['started', 'ready', 'warned', 'expired', 'stopped', 'restarted', 'deleted', 'receipt'];
    expect([...byPeople, ...byItself, 'stopping', 'login_refused'].filter((type) => !seen.has(type))).toEqual(
      [],
    );
    for (const type of [...byPeople, 'login_refused']) {
      const event = events.find((one) => one.event_type === type && one.event_data.at !== 'start');
      expect(event, type).toMatchObject({ ip_address: '127.0.0.1', user_agent: 'node' });
      if (type !== 'login_refused') expect(event?.actor_id, type).toMatch(/^[0-9a-f-]{36}$/);
    }
    const started = events.find((event) => event.event_type === 'started' && event.mcp_instance_id === id);
    expect(started?.event_data).toMatchObject({ port: expect.any(Number), generation: expect.any(Number) });
    expect(events.find((event) => event.event_type === 'setting_changed')?.event_data).toMatchObject({
      before: 5,
      after: 10,
    });
  }, 90_000);

  it('counts it', async () => {
    const text = (await daemon.call<string>('GET', '/metrics')).body.data;
    const figure = (name: string): number =>
      Number(new RegExp(`^${name} ([0-9.e+-]+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    expect(figure('minimcp_instance_starts_total\\{mcp_type="memory",result="started"\\}')).toBe(5);
    expect(figure('minimcp_instance_start_seconds_count\\{mcp_type="memory"\\}')).toBe(5);
    expect(figure('minimcp_instance_restarts_total\\{reason="asked"\\}')).toBe(2);
    expect(figure('minimcp_instance_restarts_total\\{reason="renewed"\\}')).toBe(1);
    expect(figure('minimcp_instance_ends_total\\{reason="expired"\\}')).toBe(1);
    expect(figure('minimcp_leases_ending\\{within_minutes="60"\\}')).toBe(1);
    expect(figure('minimcp_log_lines_total')).toBeGreaterThan(5);
    expect(figure('minimcp_log_bytes_total')).toBeGreaterThan(500);
    expect(figure('minimcp_node_lease_seconds\\{node="test"\\}')).toBeGreaterThan(3);
    expect(text).toMatch(/^minimcp_queue_jobs\{queue="[a-z]+\.test",state="active"\} \d+$/m);
    expect(figure('minimcp_queue_oldest_job_seconds')).toBeLessThan(60);
    // What is to be watched, by the series it is watched by.
    for (const series of [
      ...['minimcp_instances{status="running",mcp_type="memory"}', 'minimcp_ports{node="test",state="free"}'],
      ...[
        'minimcp_instance_start_seconds_sum{mcp_type="memory"}',
        'minimcp_leases_ending{within_minutes="5"}',
      ],
      ...['minimcp_log_lines_dropped_total', 'minimcp_log_lag_seconds', 'minimcp_log_spools_waiting'],
      ...['minimcp_database_connections{state="waiting"}', 'minimcp_database_up', 'minimcp_api_streams'],
      ...['nodejs_eventloop_lag_p99_seconds', 'minimcp_shim_memory_bytes{of="largest"}'],
      ...['minimcp_instance_memory_bytes{of="all"}', 'process_resident_memory_bytes'],
    ]) {
      expect(figure(series.replaceAll(/[{}]/g, '\\$&')), series).toBeGreaterThanOrEqual(0);
    }
  });

  const promtool = findProgram('promtool') ?? '';
  it.skipIf(promtool === '')('prints it as Prometheus wants it', async () => {
    const text = (await daemon.call<string>('GET', '/metrics')).body.data;
    expect(text).toContain('minimcp_instance_start_seconds_bucket');
    execFileSync(promtool, ['check', 'metrics'], { input: text, stdio: 'pipe' });
  });
});

describe('a person who is erased', () => {
  it('is gone with their processes, files and lines', async () => {
    const person = await daemon.user('gone');
    const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 5 }, person.token);
    const files = join(daemon.dataDir, 'instances', instance.id);
    expect(existsSync(files)).toBe(true);
    const answer = await daemon.call('DELETE', `/users/${person.id}`);
    expect(answer.status, JSON.stringify(answer.body)).toBe(204);
    expect((await daemon.call('GET', '/me', undefined, person.token)).status).toBe(401);
    await expect(fetch(instance.access_url)).rejects.toThrow();
    const { db } = daemon.database;
    expect(
      await db.query('SELECT 1 FROM mcp_events WHERE user_id = $1 OR actor_id = $1', [person.id]),
    ).toEqual([]);
    expect(await db.query('SELECT 1 FROM mcp_instances WHERE id = $1', [instance.id])).toEqual([]);
    await expect.poll(() => existsSync(files), { timeout: 15_000 }).toBe(false);
    expect(await db.query('SELECT 1 FROM mcp_logs WHERE mcp_instance_id = $1', [instance.id])).toEqual([]);
  }, 60_000);
});

interface Example {
  readonly status: number;
  readonly command: string;
}

/** The commands of docs/api.md, each with the status its comment promises. */
function examplesOf(text: string): Example[] {
  const block = /## Examples\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  return block
    .replaceAll('\\\n', ' ')
    .split(/^# /m)
    .filter((part) => part.trim() !== '')
    .map((part) => ({ status: Number(part.slice(0, 3)), command: part.slice(4).trim() }));
}

/** Does what curl would: the few options that the examples use. */
async function curl(command: string, variables: Readonly<Record<string, string>>): Promise<Response> {
  const words = [...command.matchAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, single, double, bare]) =>
      single ??
      (double?.replaceAll('\\"', '"') ?? bare ?? '').replaceAll(
        /\$([A-Z]+)/g,
        (_, name: string) => variables[name] ?? '',
      ),
  );
  const headers = new Headers();
  let [method, url, body] = ['GET', '', undefined as string | undefined];
  for (let at = 1; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const value = words[at + 1] ?? '';
    if (word === '-X') method = value;
    else if (word === '-d') body = value;
    else if (word === '-H')
      headers.set(value.slice(0, value.indexOf(':')), value.slice(value.indexOf(':') + 1));
    else {
      url = word;
      continue;
    }
    at += 1;
  }
  return fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
}

describe('a replaced API key', () => {
  it('restarts servers that speak HTTP, the first before the others', async () => {
    const { id: userId, token } = await daemon.user('rolls');
    const { db } = daemon.database;
    await addProgramType(daemon, 'keyed', httpKeyed);
    await db.query(
      `UPDATE mcp_types SET key_variable = 'A_KEY', transport = 'streamable-http', egress = 'open' WHERE name = 'keyed'`,
    );
    const put = (key: string, roll?: boolean) =>
      daemon.call<StoredApiKeyView>(
        'PUT',
        '/api-keys/keyed',
        { api_key: key, ...(roll === undefined ? {} : { roll }) },
        token,
      );
    expect((await put('first-key-of-no-use')).body.data.roll).toBeUndefined();
    const one = await daemon.create({ mcp_type: 'keyed', duration_minutes: 5 }, token);
    const two = await daemon.create({ mcp_type: 'keyed', duration_minutes: 5 }, token);
    const answer = await put('second-key-of-no-use', true);
    expect(answer.body.data.roll).toEqual({ moved: [], restarted: [one.id, two.id], kept: [], refused: [] });
    for (const { id, access_url } of [one, two]) {
      const again = await daemon.until(id, 'running');
      expect(again).toMatchObject({ generation: 2, access_url });
      const lines = async () => {
        const found = await daemon.call<LogLineView[]>('GET', `/instances/${id}/logs`);
        return found.body.data.map(({ message }) => message);
      };
      await expect.poll(lines, { timeout: 10_000 }).toContain('key begins with second');
    }
    // A key that its server refuses costs one instance, not all of them.
    expect((await put('wrong-key-of-no-use', true)).body.data.roll).toMatchObject({
      restarted: [one.id],
      kept: [two.id],
    });
    expect((await daemon.get(one.id)).status).toBe('error');
    expect(await daemon.get(two.id)).toMatchObject({ status: 'running', generation: 2 });
    expect((await daemon.call('DELETE', `/users/${userId}`)).status).toBe(204);
  }, 60_000);
});

/** A server that speaks HTTP, says how its key begins, and does not start with one that begins with "wrong". */
const httpKeyed = `
  import { createServer } from 'node:http';
  const serverInfo = { name: 'fixture', version: '1.0.0' };
  const results = {
    initialize: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo },
    'tools/list': { tools: [] },
  };
  if (process.env.A_KEY.startsWith('wrong')) process.exit(3);
  process.stderr.write('key begins with ' + process.env.A_KEY.slice(0, 6) + '\\n');
  createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const { id, method } = text === '' ? {} : JSON.parse(text);
    if (id === undefined) return response.writeHead(202).end();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? {} }));
  }).listen(Number(process.env.PORT), '127.0.0.1');`;

describe('the examples of docs/api.md', () => {
  it('answer as they say', async () => {
    const examples = examplesOf(readFileSync(join(root, 'docs', 'api.md'), 'utf8'));
    expect(examples.length).toBeGreaterThan(10);
    const variables: Record<string, string> = { URL: daemon.url(), TOKEN: daemon.adminToken };
    let first: unknown;
    for (const [at, { status, command }] of examples.entries()) {
      const answer = await curl(command, variables);
      const text = await answer.text();
      expect(answer.status, `${command}\n${text}`).toBe(status);
      if (at === 0) {
        first = JSON.parse(text);
        variables.ID = (first as { data: { id: string } }).data.id;
      }
      // The same Idempotency-Key: the same answer, and no second instance.
      if (at === 1) {
        expect(answer.headers.get('idempotency-replayed')).toBe('true');
        expect(JSON.parse(text)).toEqual(first);
      }
    }
  }, 60_000);
});
