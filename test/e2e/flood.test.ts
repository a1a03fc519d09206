// A server that writes its log as fast as it can, through the whole house: its neighbours answer every call, its shim, its
// spool and the supervisor stay small, and every line is stored or counted by a marker. 200 MB here; the gigabyte, with
// what it does to the neighbours' times, is `npm run bench:flood`.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken } from '../../src/api/contract.ts';
import { defaultBounds } from '../../src/shim/contract.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { connectLegacy } from '../support/mcp-http.ts';
import { ourProcesses, untilPromisesHold } from '../support/promises.ts';
import { until } from '../support/shim-harness.ts';
import { addProgramType, floodingServer, floodLineBytes as lineBytes } from '../support/types.ts';

const mib = 1024 * 1024;

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon();
  await addProgramType(daemon, 'flooding', floodingServer);
}, 60_000);
afterAll(() => daemon.dispose());

const run = (): Promise<InstanceWithToken> => daemon.create({ mcp_type: 'flooding', duration_minutes: 10 });
const clientOf = ({ access_url: url, access_token: token }: InstanceWithToken) =>
  connectLegacy({ url: String(url), token });
const flood = async (instance: InstanceWithToken, bytes: number): Promise<void> => {
  const answer = await (await clientOf(instance)).call('flood', { bytes });
  expect(answer.messages[0]?.result).toEqual({ content: [] });
};
/** Waits until the server has written all of it: one that is ended before writes no more. */
const flooded = async (instance: InstanceWithToken): Promise<void> => {
  const answer = await (await clientOf(instance)).call('flooded');
  expect(answer.messages[0]?.result).toEqual({ content: [] });
};

interface Account {
  readonly kept: number;
  readonly dropped: number;
}

/** What became of an instance's lines: stored, or counted by the markers that are. */
async function accountOf(id: string): Promise<Account> {
  const rows = await daemon.database.db.query<Account>(
    `SELECT count(*) FILTER (WHERE source = 'process') AS kept,
       coalesce(sum((metadata->>'dropped')::bigint) FILTER (WHERE metadata->>'of' = 'process'), 0)::bigint AS dropped
     FROM mcp_logs WHERE mcp_instance_id = $1`,
    [id],
  );
  return rows[0] ?? { kept: 0, dropped: 0 };
}

const shimOf = (id: string): number =>
  ourProcesses(daemon.dataDir).find(
    ({ instanceId, generation }) => instanceId === id && generation !== undefined,
  )?.pid ?? -1;

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function spoolBytes(id: string): number {
  const dir = join(daemon.dataDir, 'instances', id, '1', 'spool');
  return readdirSync(dir).reduce(
    (sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

describe('a flood of log', () => {
  it('costs its neighbours no call and nobody the memory, and is accounted for to the line', async () => {
    await daemon.call('PUT', '/settings/logs.max_mb_per_day', { value: 10_000 });
    const [loud, ...quiet] = (await Promise.all([run(), run(), run()])) as [
      InstanceWithToken,
      ...InstanceWithToken[],
    ];
    const neighbours = await Promise.all(quiet.map(clientOf));
    let going = true;
    let calls = 0;
    const failed: unknown[] = [];
    const calling = neighbours.map(async (client) => {
      while (going) {
        const answer = await client.call('nothing');
        if (answer.status !== 200 || answer.messages[0]?.result === undefined) failed.push(answer);
        calls += 1;
      }
    });
    const bytes = 200 * lineBytes * 1_000;
    const shim = shimOf(loud.id);
    await flood(loud, bytes);
    let spoolPeak = 0;
    const account = await until(
      async () => {
        spoolPeak = Math.max(spoolPeak, spoolBytes(loud.id));
        const { kept, dropped } = await accountOf(loud.id);
        return kept + dropped >= bytes / lineBytes ? { kept, dropped } : undefined;
      },
      'every line to be stored or counted',
      120_000,
    );
    const before = calls;
    await until(() => (calls > before + 20 ? true : undefined), 'calls after the flood');
    going = false;
    await Promise.all(calling);
    expect(failed).toEqual([]);
    expect(account.kept + account.dropped).toBe(bytes / lineBytes);
    expect(account.kept).toBeGreaterThan(1_000);
    expect(peakOf(shim)).toBeLessThan(150 * mib);
    expect(peakOf(daemon.pid())).toBeLessThan(500 * mib);
    expect(spoolPeak).toBeLessThan(defaultBounds.spoolBytesMax + defaultBounds.spoolSegmentBytes);
    expect((await daemon.get(loud.id)).status).toBe('running');
    await untilPromisesHold(daemon);
  }, 240_000);

  it('ends at the budget of the day, also over a restart, and the marker has the count', async () => {
    const budget = 4 * mib;
    await daemon.call('PUT', '/settings/logs.max_mb_per_day', { value: 4 });
    const instance = await run();
    const lines = 10_000;
    await flood(instance, lines * lineBytes);
    const marker = await until(async () => {
      const found = await daemon.call<{ message: string }[]>(
        'GET',
        `/instances/${instance.id}/logs?level=warn`,
      );
      return found.body.data.find(({ message }) => message.includes('log budget of the day'));
    }, 'the first marker');
    expect(marker.message).toBe(
      `1 log lines dropped: the log budget of the day, ${budget} bytes, is used up`,
    );
    await flooded(instance);
    // What is dropped is counted until the instance ends, or for a minute.
    await daemon.call('POST', `/instances/${instance.id}/restart`);
    await daemon.until(instance.id, 'running');
    const storedOrCounted = async (): Promise<number> => {
      const { kept, dropped } = await accountOf(instance.id);
      return kept + dropped;
    };
    await expect.poll(storedOrCounted).toBe(lines);
    const account = await accountOf(instance.id);
    expect(account.kept * lineBytes).toBeLessThan(budget);
    expect(account.kept * lineBytes).toBeGreaterThan(budget / 2);
    // The next generation has no second budget.
    await flood(instance, 100 * lineBytes);
    await flooded(instance);
    await daemon.call('POST', `/instances/${instance.id}/stop`);
    await until(
      async () => ((await accountOf(instance.id)).dropped === account.dropped + 100 ? true : undefined),
      'the lines of the next generation to be counted',
      20_000,
    );
    expect((await accountOf(instance.id)).kept).toBe(account.kept);
  }, 120_000);
});
