// A replaced API key in a running shim: who calls meanwhile notices nothing, and a key that is no good changes nothing.
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyRoll, LaunchSpec, ShimState } from '../../src/shim/contract.ts';
import { connectLegacy, post, toolText } from '../support/mcp-http.ts';
import { endpointOf, rawChildScript, receivedBy } from '../support/raw-shim.ts';
import { type RunningShim, startShim, until } from '../support/shim-harness.ts';

const oldKey = 'old-key-of-no-use+/"\\é';
const newKey = 'new-key-of-no-use+/"\\é';
const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex');

const started: RunningShim[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((shim) => shim.dispose()));
});

async function start(spec: Partial<LaunchSpec> = {}, startTimeoutMs = 10_000): Promise<RunningShim> {
  const child = { args: [rawChildScript], env: { RAW_KEY: oldKey }, startTimeoutMs };
  const shim = await startShim({ child, spec: { secrets: [oldKey], keyVersion: 'one', ...spec } });
  started.push(shim);
  return shim;
}

/** Asks for another key, as a supervisor does that goes away at once. */
async function change(shim: RunningShim, value: string, version = 'two'): Promise<ShimState> {
  const control = await shim.control();
  const reply = await control.request({ method: 'key', key: { version, variable: 'RAW_KEY', value } });
  control.close();
  if ('error' in reply) throw new Error(reply.error.message);
  return reply.state;
}

const reached = (shim: RunningShim, ...phases: KeyRoll['phase'][]): Promise<ShimState> =>
  until(
    async () => {
      const state = await shim.state();
      return state.roll !== undefined && phases.includes(state.roll.phase) ? state : undefined;
    },
    `the hand-over to be ${phases.join(' or ')}`,
  );

describe('a key that is good', () => {
  it('takes over without a failed call, in the sessions there are', async () => {
    const shim = await start();
    const endpoint = endpointOf(shim);
    const clients = await Promise.all([1, 2, 3, 4].map(() => connectLegacy(endpoint, { roots: {} })));
    const [first, second] = clients as [(typeof clients)[0], (typeof clients)[0]];
    await Promise.all([
      first.request('resources/subscribe', { uri: 'file:///a' }),
      second.request('logging/setLevel', { level: 'error' }),
    ]);
    const stream = await first.listen();
    const oldPid = Number(toolText(await first.call('pid')));
    const path = join(shim.bundleDir, 'answer-now');
    const long = second.call('whenThere', { path });
    const seen: { at: number; hash: string }[] = [];
    const failed: unknown[] = [];
    let going = true;
    const calling = clients.map(async (client) => {
      while (going) {
        const answer = await client.call('key');
        if (answer.status !== 200 || toolText(answer) === undefined) failed.push(answer);
        else seen.push({ at: seen.length, hash: toolText(answer) });
      }
    });
    await until(() => (seen.length > 50 ? true : undefined), 'the first calls');
    expect((await change(shim, newKey)).roll).toMatchObject({ version: 'two', phase: 'proving' });
    await reached(shim, 'draining');
    const movedAt = seen.length;
    expect((await shim.state()).keyVersion).toBe('two');
    await until(() => (seen.length > movedAt + 50 ? true : undefined), 'calls after the hand-over');
    expect(existsSync(`/proc/${oldPid}`), 'the old one still has a call').toBe(true);
    writeFileSync(path, '');
    expect(toolText(await long)).toBe('it is there');
    await reached(shim, 'done');
    going = false;
    await Promise.all(calling);

    expect(failed).toEqual([]);
    // Those in flight at that moment may still have been the old one's.
    expect(new Set(seen.slice(movedAt + clients.length).map(({ hash }) => hash))).toEqual(
      new Set([hashOf(newKey)]),
    );
    expect(seen[0]?.hash).toBe(hashOf(oldKey));
    expect(existsSync(`/proc/${oldPid}`)).toBe(false);
    expect(shim.processes()).toHaveLength(1);

    const { received } = await receivedBy(first);
    const methods = received.map(({ method }) => method).filter((method) => method !== 'tools/call');
    expect(methods).toEqual([
      'initialize',
      'notifications/initialized',
      'tools/list',
      'logging/setLevel',
      'resources/subscribe',
    ]);
    await second.call('notify', { method: 'notifications/resources/updated', params: { uri: 'file:///a' } });
    await stream.message(({ method }) => method === 'notifications/resources/updated');
    await stream.message(({ method }) => method === 'notifications/tools/list_changed');
    expect(await shim.state()).toMatchObject({ restarts: 0, sessions: 4, phase: 'running' });
  });

  it('is what the child is started again with', async () => {
    const shim = await start();
    await change(shim, newKey);
    const { childPid } = await reached(shim, 'done');
    process.kill(childPid ?? 0, 'SIGKILL');
    await until(async () => {
      const state = await shim.state();
      return state.phase === 'running' && state.restarts === 1 ? state : undefined;
    }, 'the restart');
    const client = await connectLegacy(endpointOf(shim));
    expect(toolText(await client.call('key'))).toBe(hashOf(newKey));
  });

  it('asked for twice is changed once', async () => {
    const shim = await start();
    await Promise.all([change(shim, newKey), change(shim, newKey)]);
    const { childPid } = await reached(shim, 'done');
    expect((await change(shim, newKey)).roll?.phase).toBe('done');
    expect((await shim.state()).childPid).toBe(childPid);
    expect(shim.log().filter(({ msg }) => msg.startsWith('A second server'))).toHaveLength(1);
  });

  it('still gets the old child the answer to what it asked', async () => {
    const shim = await start();
    const client = await connectLegacy(endpointOf(shim), { roots: {} });
    const asking = await client.stream({
      jsonrpc: '2.0',
      id: 9,
      method: 'tools/call',
      params: { name: 'ask', arguments: { method: 'roots/list' } },
    });
    const asked = await asking.message(({ method }) => method === 'roots/list');
    await change(shim, newKey);
    await reached(shim, 'draining');
    await post(shim, { jsonrpc: '2.0', id: asked.id, result: { roots: [] } }, client.headers);
    const { result } = await asking.message(({ id }) => id === 9);
    expect(result.content[0].text).toBe('{"result":{"roots":[]}}');
    await reached(shim, 'done');
  });

  it('leaves the shim as small as it was', async () => {
    const shim = await start();
    const before = (await shim.state()).rssBytes;
    for (let at = 0; at < 6; at += 1) {
      await change(shim, `${newKey}-${at}`, `v${at}`);
      await until(async () => {
        const { roll } = await shim.state();
        return roll?.version === `v${at}` && roll.phase === 'done' ? true : undefined;
      }, 'the hand-over');
    }
    expect((await shim.state()).rssBytes - before).toBeLessThan(24 * 1024 * 1024);
  }, 30_000);
});

describe('a key that is no good', () => {
  it.each([
    ['makes its child exit', 'refused-key', 10_000, /^The server exited with code 3 before it was ready$/],
    ['gets no answer', 'mute-key', 4_000, /^The server did not answer within 4000 ms$/],
  ])('%s: the old child goes on, and nobody sees the key', async (_what, key, startTimeoutMs, word) => {
    const shim = await start({}, startTimeoutMs);
    const client = await connectLegacy(endpointOf(shim));
    const { childPid } = await shim.state();
    await change(shim, `${key}+/"\\`);
    const { roll, keyVersion } = await reached(shim, 'failed');
    expect(roll?.lastLines.at(-1)).toMatch(word);
    expect(keyVersion).toBe('one');
    if (key === 'refused-key') expect(roll?.lastLines[0]).toBe('Error: [redacted] is not known upstream');
    expect(JSON.stringify([roll, shim.log()])).not.toContain(key);
    expect((await shim.state()).childPid).toBe(childPid);
    expect(toolText(await client.call('key'))).toBe(hashOf(oldKey));
    expect(shim.processes()).toEqual([childPid]);
    // And a better one may follow.
    await change(shim, newKey, 'three');
    await reached(shim, 'done');
    expect(toolText(await client.call('key'))).toBe(hashOf(newKey));
  });

  it('is not told apart by the control socket either', async () => {
    const shim = await start();
    const control = await shim.control();
    for (const key of [
      { version: 'x', variable: 'A B', value: 'secret' },
      { version: 'x', variable: 'A', value: 7 },
      7,
    ]) {
      const reply = await control.request({ method: 'key', key });
      expect(reply).toMatchObject({ error: { code: 'malformed' } });
      expect(JSON.stringify(reply)).not.toContain('secret');
    }
  });
});

describe('an end', () => {
  it.each(['proving', 'draining'] as const)('while %s leaves nothing', async (phase) => {
    const shim = await start();
    const client = await connectLegacy(endpointOf(shim));
    if (phase === 'draining') void client.call('never').catch(() => {});
    await until(
      async () => ((await shim.state()).inFlight === (phase === 'draining' ? 1 : 0) ? true : undefined),
      'the call',
    );
    await change(shim, phase === 'proving' ? 'mute-key' : newKey);
    await reached(shim, phase);
    expect(shim.processes().length).toBeGreaterThan(0);
    expect(await shim.stop('user', { drainMs: 0, graceMs: 1_000 })).toMatchObject({
      reason: 'user',
      wasReady: true,
    });
    expect(shim.processes()).toEqual([]);
  });

  it('of the child that serves, while another is proved, is a restart with the old key', async () => {
    const shim = await start();
    const { childPid } = await shim.state();
    await change(shim, 'mute-key');
    await reached(shim, 'proving');
    process.kill(childPid ?? 0, 'SIGKILL');
    await reached(shim, 'failed');
    await until(async () => ((await shim.state()).phase === 'running' ? true : undefined), 'the restart');
    const client = await connectLegacy(endpointOf(shim));
    expect(toolText(await client.call('key'))).toBe(hashOf(oldKey));
    expect(shim.processes()).toHaveLength(1);
  });
});
