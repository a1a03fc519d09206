// A replaced API key through the whole house: a real supervisor rolls it onto what runs, dies in the middle, and gives
// two children room for two only while there are two.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceWithToken, StoredApiKeyView } from '../../src/api/contract.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { fixtureType, limits, mebibyte, openTestDriver, type TestDriver } from '../support/driver.ts';
import { connectLegacy, type LegacyClient, toolText } from '../support/mcp-http.ts';
import { ourProcesses, untilPromisesHold } from '../support/promises.ts';
import { until } from '../support/shim-harness.ts';
import { addProgramType } from '../support/types.ts';

const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex');

/** Answers every call with a hash of its key. Keys that begin with "refused" make it exit, with "slow" take its time. */
const keyedServer = `
  import { createHash } from 'node:crypto';
  import { createInterface } from 'node:readline';
  const key = process.env.A_KEY;
  if (key.startsWith('refused')) { console.error('no such key: ' + key); process.exit(3); }
  const hash = createHash('sha256').update(key).digest('hex');
  const serverInfo = { name: 'keyed', version: '1.0.0' };
  createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, method, params } = JSON.parse(line);
    const answer = (result) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
    if (method === 'initialize')
      setTimeout(answer, key.startsWith('slow') ? 1500 : 0, { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo });
    else if (method === 'tools/list') answer({ tools: [] });
    else if (params?.name === 'die') process.kill(process.pid, 'SIGKILL');
    else if (id !== undefined) setTimeout(answer, params?.arguments?.ms ?? 0, { content: [{ type: 'text', text: hash }] });
  }).on('close', () => process.exit(0));`;

describe('a key that is rolled', () => {
  let daemon: Daemon;
  let owner: { id: string; token: string };
  beforeAll(async () => {
    daemon = await startDaemon();
    // Of known era: a server that is asked for it has a sibling for a moment, and here children are counted.
    await addProgramType(daemon, 'keyed', keyedServer, { era: 'legacy' });
    await daemon.database.db.query(`UPDATE mcp_types SET key_variable = 'A_KEY' WHERE name = 'keyed'`);
    owner = await daemon.user('roller');
  }, 60_000);
  afterAll(() => daemon.dispose());
  afterEach(async () => {
    const { body } = await daemon.call<{ id: string }[]>('GET', '/instances', undefined, owner.token);
    for (const { id } of body.data) await daemon.call('DELETE', `/instances/${id}`, undefined, owner.token);
  });

  const put = async (key: string, roll: boolean): Promise<StoredApiKeyView['roll']> => {
    const answer = await daemon.call<StoredApiKeyView>(
      'PUT',
      '/api-keys/keyed',
      { api_key: key, roll },
      owner.token,
    );
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer.body.data.roll;
  };
  const run = (): Promise<InstanceWithToken> =>
    daemon.create({ mcp_type: 'keyed', duration_minutes: 5 }, owner.token);
  const clientOf = ({ access_url: url, access_token: token }: InstanceWithToken): Promise<LegacyClient> =>
    connectLegacy({ url: String(url), token });
  const keyOf = async (client: LegacyClient): Promise<string> => toolText(await client.call('key'));
  const childrenOf = (id: string): number[] =>
    ourProcesses(daemon.dataDir)
      .filter(
        ({ instanceId, cmdline }) =>
          instanceId === id && /^(\/usr\/bin\/|\/\S*\/)?node\S* .*server\.mjs/.test(cmdline),
      )
      .map(({ pid }) => pid);

  it('fails no call of any instance, and a second time changes nothing', async () => {
    await put('first-key-of-no-use', false);
    const instances = [await run(), await run(), await run()];
    const clients = await Promise.all(instances.map(clientOf));
    const failed: unknown[] = [];
    let calls = 0;
    let going = true;
    const calling = clients.map(async (client) => {
      while (going) {
        const answer = await client.call('key');
        if (answer.status !== 200 || answer.messages[0]?.result === undefined) failed.push(answer);
        calls += 1;
      }
    });
    const ids = instances.map(({ id }) => id);
    const before = calls;
    expect(await put('second-key-of-no-use', true)).toEqual({
      moved: ids,
      restarted: [],
      kept: [],
      refused: [],
    });
    const after = calls;
    going = false;
    await Promise.all(calling);
    expect(failed).toEqual([]);
    expect(after - before).toBeGreaterThan(10);
    for (const client of clients) expect(await keyOf(client)).toBe(hashOf('second-key-of-no-use'));
    for (const { id } of instances) {
      await until(() => (childrenOf(id).length === 1 ? true : undefined), 'the old child to be gone');
      expect(await daemon.get(id)).toMatchObject({ status: 'running', generation: 1 });
    }
    const children = ids.map(childrenOf);
    expect(await put('second-key-of-no-use', true)).toMatchObject({ moved: ids });
    expect(ids.map(childrenOf)).toEqual(children);
    await untilPromisesHold(daemon);

    // Killed after that, it is started again with the key it was rolled onto.
    const [client] = clients as [LegacyClient];
    await client.call('die').catch(() => {});
    const [first] = instances as [InstanceWithToken];
    const again = await until(() => clientOf(first).catch(() => undefined), 'the restart');
    expect(await keyOf(again)).toBe(hashOf('second-key-of-no-use'));

    const { body } = await daemon.call<{ event_type: string; event_data: object }[]>(
      'GET',
      `/events?limit=200`,
    );
    const rolled = body.data.filter(({ event_type: type }) => type === 'key_rolled');
    expect(rolled.map(({ event_data: data }) => data)).toEqual(
      Array.from({ length: 6 }, () => ({ outcome: 'moved', generation: 1 })),
    );
  }, 60_000);

  it('and is no good leaves everything as it was, and says why', async () => {
    await put('first-key-of-no-use', false);
    const [one, two] = [await run(), await run()];
    const clients = await Promise.all([one, two].map(clientOf));
    const roll = await put('refused-key-of-no-use', true);
    expect(roll).toMatchObject({
      ...{ moved: [], restarted: [], kept: [one.id, two.id] },
      refused: [
        {
          ...{
            id: one.id,
            code: 'key_not_proved',
            detail: 'The server exited with code 3 before it was ready',
          },
          last_lines: ['no such key: [redacted]', 'The server exited with code 3 before it was ready'],
        },
      ],
    });
    for (const client of clients) expect(await keyOf(client)).toBe(hashOf('first-key-of-no-use'));
    await untilPromisesHold(daemon);
  }, 60_000);

  it('when the supervisor is killed half way, is in use all the same, and is not rolled twice', async () => {
    await put('first-key-of-no-use', false);
    const instance = await run();
    const client = await clientOf(instance);
    const rolling = put('slow-key-of-no-use', true).catch(() => undefined);
    await until(() => (childrenOf(instance.id).length === 2 ? true : undefined), 'the second child');
    await daemon.kill9();
    expect(await rolling).toBeUndefined();
    await until(
      async () => ((await keyOf(client)) === hashOf('slow-key-of-no-use') ? true : undefined),
      'the new key, without a supervisor',
    );
    await daemon.start();
    await until(() => (childrenOf(instance.id).length === 1 ? true : undefined), 'the old child to be gone');
    const children = childrenOf(instance.id);
    expect(await put('slow-key-of-no-use', true)).toMatchObject({ moved: [instance.id] });
    expect(childrenOf(instance.id)).toEqual(children);
    expect(await daemon.get(instance.id)).toMatchObject({ status: 'running', generation: 1 });
    await untilPromisesHold(daemon);
  }, 60_000);
});

describe('the limits of an instance', () => {
  let house: TestDriver;
  beforeAll(async () => {
    house = await openTestDriver();
  }, 60_000);
  afterAll(() => house.dispose());

  it('hold two children only while there are two, and the next supervisor takes that back', async () => {
    const keyed = { ...fixtureType, key_variable: 'A_KEY' };
    const one = await house.run({ type: keyed, apiKey: 'first', keyVersion: 'one' });
    const record = JSON.parse(
      readFileSync(
        join(house.dataDir, 'instances', one.handle.instanceId, String(one.handle.generation), 'shim.json'),
        'utf8',
      ),
    ) as { cgroups: string[] };
    const file = record.cgroups
      .flatMap((dir) => [join(dir, 'memory.limit_in_bytes'), join(dir, 'memory.max')])
      .find((path) => readable(path));
    const bytes = (): number => (file === undefined ? 0 : Number(readFileSync(file, 'utf8')));
    const single = bytes();
    expect((await one.deed('hold', { mebibytes: 100 })).value).toBe(100);
    // A call in flight keeps the old child while the new one fills as much again.
    const long = one.deed('wait', { ms: 3_000 });
    await until(async () => {
      const found = await house.driver.inspect(one.handle);
      return found.state === 'alive' && found.shim.inFlight > 0 ? true : undefined;
    }, 'the call');
    const signal = AbortSignal.timeout(20_000);
    const key = { version: 'two', variable: 'A_KEY', value: 'second' };
    expect(await house.driver.rekey(one.handle, key, signal)).toEqual({ outcome: 'moved' });
    if (file !== undefined) expect(bytes() - single).toBe(limits.memoryBytesMax);
    expect((await one.deed('hold', { mebibytes: 100 })).value).toBe(100);
    expect((await one.deed('environment')).value).toMatchObject({ A_KEY: 'second' });
    const next = await house.reopen(2);
    expect((await long).error).toBeUndefined();
    if (file !== undefined)
      await until(() => (bytes() === single ? true : undefined), 'the room for two to be taken back');
    expect(await next.rekey(one.handle, key, signal)).toEqual({ outcome: 'moved' });
    const { shim } = (await next.inspect(one.handle)) as { shim: { restarts: number; keyVersion: string } };
    expect(shim).toMatchObject({ restarts: 0, keyVersion: 'two' });
    expect(single === 0 || single >= 256 * mebibyte).toBe(true);
  }, 60_000);
});

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
