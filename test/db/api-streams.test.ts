// What goes on after the answer has begun: changes and log lines as they come, exports of any size; and how streams end:
// with their reader, with their token, with the API.

import { randomUUIDv7 } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/base/clock.ts';
import { type ApiHouse, openApi } from '../support/api.ts';
import { addType } from '../support/rows.ts';

let house: ApiHouse;
let type: string;
beforeAll(async () => {
  house = await openApi({ limits: { heartbeatMs: 100, streamsPerCallerMax: 2 } });
  type = `type-${await addType(house.database.db)}`;
});
afterAll(() => house[Symbol.asyncDispose]());

const create = async (token: string): Promise<string> =>
  (await house.send('POST', '/api/v1/instances', { token, body: { mcp_type: type } })).json.data.id;

interface Followed {
  readonly frames: string[];
  readonly events: () => { event: string; id: string; data: Record<string, unknown> }[];
  readonly response: Response;
  readonly done: Promise<void>;
  end(): void;
}

async function follow(path: string, token: string, headers: Record<string, string> = {}): Promise<Followed> {
  const gone = new AbortController();
  const response = await fetch(`${house.url}/api/v1${path}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: gone.signal,
  });
  const frames: string[] = [];
  const done = (async () => {
    let text = '';
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString('utf8');
      const parts = text.split('\n\n');
      text = parts.pop() ?? '';
      frames.push(...parts);
    }
  })().catch(() => undefined);
  const field = (frame: string, name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(frame)?.[1] ?? '';
  return {
    frames,
    events: () =>
      frames
        .filter((frame) => field(frame, 'data') !== '')
        .map((frame) => ({
          event: field(frame, 'event'),
          id: field(frame, 'id'),
          data: JSON.parse(field(frame, 'data')),
        })),
    response,
    done,
    end: () => gone.abort(),
  };
}

let seq = 0;
async function addLines(instanceId: string, count: number, level = 'info'): Promise<void> {
  const ids = Array.from({ length: count }, () => randomUUIDv7()).sort();
  await house.database.db.tx(async (tx) => {
    await tx.query(
      `INSERT INTO mcp_logs (id, mcp_instance_id, level, source, message, seq)
       SELECT id, $2, $3, 'process', 'line ' || ($4 + n), $4 + n
       FROM unnest($1::uuid[]) WITH ORDINALITY AS made(id, n)`,
      [ids, instanceId, level, seq],
    );
    await tx.query(`SELECT pg_notify('minimcp_logs', $1)`, [instanceId]);
  });
  seq += count;
}

describe('GET /stream', () => {
  it('tells of what the caller may see, and of nothing else', async () => {
    const [me, other] = [await house.user(), await house.user()];
    const mine = await follow('/stream', me.token);
    const all = await follow('/stream', house.adminToken);
    expect(mine.response.headers.get('content-type')).toContain('text/event-stream');
    await expect.poll(() => [mine.frames.length > 1, all.frames.length > 1]).toEqual([true, true]);
    expect(mine.events()[0]?.event).toBe('resync');
    const [id, otherId] = [await create(me.token), await create(other.token)];
    await house.ready(id);
    await house.ready(otherId);
    const ids = (followed: Followed) => followed.events().map(({ data }) => data.id);
    await expect.poll(() => ids(all)).toEqual(expect.arrayContaining([id, otherId]));
    await expect.poll(() => ids(mine)).toContain(id);
    expect(ids(mine)).not.toContain(otherId);
    const lastOfInstances = () =>
      mine
        .events()
        .filter(({ event }) => event !== 'changed')
        .at(-1);
    await expect.poll(lastOfInstances).toMatchObject({ event: 'instance', data: { status: 'running' } });

    await house.send('DELETE', `/api/v1/instances/${id}`, { token: me.token });
    await house.apply(id, { event: 'exited' });
    await expect.poll(lastOfInstances).toMatchObject({ event: 'removed', data: { id } });
    mine.end();
    all.end();
  });

  it('tells which lists are stale, to whom it concerns, once for many changes', async () => {
    const [me, other] = [await house.user(), await house.user()];
    const mine = await follow('/stream', me.token);
    const all = await follow('/stream', house.adminToken);
    await expect.poll(() => [mine.frames.length > 1, all.frames.length > 1]).toEqual([true, true]);
    const stale = (followed: Followed) =>
      followed
        .events()
        .filter(({ event }) => event === 'changed')
        .map(({ data }) => data.resource);
    for (let at = 0; at < 10; at += 1)
      await house.send('POST', '/api/v1/tokens', { token: other.token, body: { name: `t${at}` } });
    await house.send('PUT', '/api/v1/settings/mcp.drain_seconds', { body: { value: 4 } });
    await expect.poll(() => stale(all)).toEqual(expect.arrayContaining(['tokens', 'settings', 'events']));
    expect(stale(all).filter((resource) => resource === 'tokens').length).toBeLessThan(10);
    await house.send('POST', '/api/v1/tokens', { token: me.token, body: { name: 'mine' } });
    await expect.poll(() => stale(mine)).toEqual(expect.arrayContaining(['tokens', 'events']));
    await house.send('PATCH', `/api/v1/mcp-types/${type}`, { body: { is_active: true, display_name: 'x' } });
    await expect.poll(() => stale(mine)).toContain('types');
    expect(stale(mine).filter((resource) => resource === 'tokens')).toHaveLength(1);
    expect(stale(mine)).not.toContain('settings');
    await create(me.token);
    await expect.poll(() => stale(all)).toContain('ports');
    expect(stale(mine)).not.toContain('ports');
    mine.end();
    all.end();
  });

  it('shows signs of life, and ends when its token does', async () => {
    const { token } = await house.user();
    const followed = await follow('/stream', token);
    await expect
      .poll(() => followed.frames.filter((frame) => frame.startsWith(': ')).length)
      .toBeGreaterThan(1);
    const id = (await house.send('GET', '/api/v1/tokens', { token })).json.data[0].id;
    await house.send('DELETE', `/api/v1/tokens/${id}`);
    await followed.done;
    expect(followed.frames.at(-1)).toBe(': unauthorized');
  });

  it('is opened by one caller a few times only, and given back when its reader goes', async () => {
    const { token } = await house.user();
    const open = [await follow('/stream', token), await follow('/stream', token)];
    const third = await house.send('GET', '/api/v1/stream', { token });
    expect([third.status, third.json.code]).toEqual([429, 'rate_limited']);
    for (const followed of open) followed.end();
    await expect
      .poll(async () => {
        const again = await follow('/stream', token);
        again.end();
        return again.response.status;
      })
      .toBe(200);
  });
});

describe('log lines', () => {
  it('come page by page, newest first, and filtered', async () => {
    const { token } = await house.user();
    const id = await create(token);
    await addLines(id, 5);
    await addLines(id, 2, 'error');
    const first = await house.send('GET', `/api/v1/instances/${id}/logs?limit=3`, { token });
    const seqs = first.json.data.map((line: { seq: number }) => line.seq);
    expect(seqs).toHaveLength(3);
    const rest = await house.send(
      'GET',
      `/api/v1/instances/${id}/logs?limit=10&cursor=${first.json.meta.next_cursor}`,
      { token },
    );
    expect(rest.json.data).toHaveLength(4);
    const errors = await house.send('GET', `/api/v1/instances/${id}/logs?level=warn`, { token });
    expect(errors.json.data.map((line: { level: string }) => line.level)).toEqual(['error', 'error']);
  });

  it('are followed from now on, and after a break from the last one seen', async () => {
    const { token } = await house.user();
    const id = await create(token);
    await addLines(id, 3);
    const first = await follow(`/instances/${id}/logs/stream`, token);
    await expect.poll(() => first.frames.length).toBeGreaterThan(0);
    await addLines(id, 2);
    await expect.poll(() => first.events().length).toBe(2);
    const lastId = first.events()[0]?.id ?? '';
    first.end();
    await addLines(id, 4);
    const second = await follow(`/instances/${id}/logs/stream`, token, { 'last-event-id': lastId });
    await expect.poll(() => second.events().length).toBe(5);
    const seqs = second.events().map(({ data }) => data.seq as number);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    second.end();
  });

  it('are exported in full, oldest first, as NDJSON and as CSV', async () => {
    const { token } = await house.user();
    const id = await create(token);
    await addLines(id, 2_500);
    const ndjson = await house.send('GET', `/api/v1/instances/${id}/logs/export`, { token });
    expect(ndjson.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = ndjson.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2_500);
    expect(new Set(lines.map(({ seq: n }) => n)).size).toBe(2_500);
    const csv = await house.send('GET', `/api/v1/instances/${id}/logs/export?format=csv`, { token });
    expect(csv.headers.get('content-disposition')).toMatch(/^attachment; filename="[a-z0-9-]+-logs\.csv"$/);
    expect(csv.text.trimEnd().split('\r\n')).toHaveLength(2_501);
    expect(csv.text).toMatch(/^timestamp,level,source,seq,message,metadata\r\n/);
  });

  it('are searched by what their message holds: page, stream and export alike', async () => {
    const { token } = await house.user();
    const id = await create(token);
    const from = seq;
    await addLines(id, 30);
    const wanted = (n: number) => new RegExp(`LINE ${from + n}$`, 'i');
    const query = `q=${encodeURIComponent(`LINE ${from + 7}`)}`;
    const page = await house.send('GET', `/api/v1/instances/${id}/logs?${query}`, { token });
    expect(page.json.data.map(({ message }: { message: string }) => message)).toEqual([
      expect.stringMatching(wanted(7)),
    ]);
    expect(page.json.meta.next_cursor).toBeNull();
    const exported = await house.send('GET', `/api/v1/instances/${id}/logs/export?${query}`, { token });
    expect(exported.text.trimEnd().split('\n')).toHaveLength(1);
    const followed = await follow(
      `/instances/${id}/logs/stream?since=1970-01-01T00:00:00Z&q=${encodeURIComponent(`line ${from + 33}`)}`,
      token,
    );
    await expect.poll(() => followed.frames.length).toBeGreaterThan(0);
    await addLines(id, 5);
    await expect
      .poll(() => followed.events().map(({ data }) => data.message))
      .toEqual([expect.stringMatching(wanted(33))]);
    followed.end();
    const other = await house.user();
    const theirs = await house.send('GET', `/api/v1/instances/${id}/logs?${query}`, { token: other.token });
    expect(theirs.status).toBe(404);
    for (const wrong of ['q=', `q=${'x'.repeat(201)}`, 'q=%00']) {
      const refused = await house.send('GET', `/api/v1/instances/${id}/logs?${wrong}`, { token });
      expect([wrong.slice(0, 10), refused.status, refused.json.code]).toEqual([
        wrong.slice(0, 10),
        400,
        'malformed_request',
      ]);
    }
  });

  it('are exported in the memory of a page or two, also when the reader dawdles', async () => {
    const { token } = await house.user();
    const id = await create(token);
    const lines = 100_000;
    await house.database.db.tx(async (tx) => {
      // Foreign keys are not looked at: that would take most of the time.
      await tx.query(`SET LOCAL session_replication_role = 'replica'`);
      await tx.query(`SET LOCAL statement_timeout = '100s'`);
      await tx.query(
        `INSERT INTO mcp_logs (id, mcp_instance_id, timestamp, message, seq)
         SELECT gen_random_uuid(), $1, now() - n * interval '1 ms', repeat('0123456789', 40), n
         FROM generate_series(1, $2::int) AS n`,
        [id, lines],
      );
    });
    const collect = collector();
    const held = (): number => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return (heapUsed + external) / 1024 ** 2;
    };
    const before = held();
    const response = await fetch(`${house.url}/api/v1/instances/${id}/logs/export`, {
      headers: { authorization: `Bearer ${token}` },
    });
    let [bytes, breaks, highest, chunks] = [0, 0, before, 0];
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      for (const byte of chunk) if (byte === 0x0a) breaks += 1;
      chunks += 1;
      // A reader who stops for a while, again and again: what would be read ahead for it has the time to pile up.
      if (chunks % 200 !== 1) continue;
      await new Promise((resolve) => setTimeout(resolve, 100));
      highest = Math.max(highest, held());
    }
    expect(breaks).toBe(lines);
    expect(bytes / 1024 ** 2).toBeGreaterThan(50);
    expect(highest - before).toBeLessThan(32);
  }, 120_000);
});

/** A function that collects garbage: what is held is then what is in use. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

describe('closing', () => {
  it('ends every stream at once', async () => {
    const closing = await openApi();
    const response = await fetch(`${closing.url}/api/v1/stream`, {
      headers: { authorization: `Bearer ${closing.adminToken}` },
    });
    const reader = response.body?.getReader();
    await reader?.read();
    const beganMs = monotonicMs();
    const ended = (async () => {
      while (!(await reader?.read())?.done);
    })();
    await Promise.all([closing[Symbol.asyncDispose](), ended]);
    expect(monotonicMs() - beganMs).toBeLessThan(5_000);
  });
});
