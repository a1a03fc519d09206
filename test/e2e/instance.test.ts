// An instance as its user meets it: real clients, a real server, a real end.
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventView, LogLineView, PortView } from '../../src/api/contract.ts';
import { connectMcpRemote, connectSdk, inspector } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 12 });
});
afterAll(() => daemon.dispose());

const echo = { name: 'echo', arguments: { message: 'hello' } };

/** Processes on this machine whose command line holds `text`. */
function processesWith(text: string): number {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
      } catch {
        return false;
      }
    }).length;
}

describe('an instance', () => {
  it('serves the official client, the Inspector and mcp-remote, all with one child', async () => {
    const instance = await daemon.create({ mcp_type: 'everything', duration_minutes: 5 });
    expect(instance.status).toBe('running');
    const sdk = await connectSdk(instance);
    const again = await connectSdk(instance);
    const remote = await connectMcpRemote(instance);
    for (const client of [sdk, again, remote.client]) {
      const { tools } = await client.listTools();
      expect(tools.map((tool) => tool.name)).toContain('echo');
      expect(await client.callTool(echo)).toMatchObject({ content: [{ type: 'text', text: 'Echo: hello' }] });
    }
    const listed = await inspector(instance, ['--method', 'tools/list', '--format', 'json']);
    expect(JSON.stringify(listed)).toContain('"echo"');
    const called = await inspector(instance, [
      '--method',
      'tools/call',
      '--tool-name',
      'echo',
      '--tool-arg',
      'message=hi',
      '--format',
      'json',
    ]);
    expect(JSON.stringify(called)).toContain('Echo: hi');
    const { process_id: child } = await daemon.get(instance.id);
    expect((await daemon.get(instance.id)).process_id).toBe(child);
    await Promise.all([sdk.close(), again.close(), remote.close()]);
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('refuses a wrong token with 401, and its child gets no byte', async () => {
    const instance = await daemon.create({ mcp_type: 'everything', duration_minutes: 5 });
    const before = (await daemon.call<{ requests: number }>('GET', `/instances/${instance.id}/stats`)).body
      .data;
    for (const authorization of ['Bearer mcp_wrong', `Bearer ${daemon.adminToken}`, '']) {
      const response = await fetch(instance.access_url, {
        method: 'POST',
        headers: {
          ...(authorization === '' ? {} : { authorization }),
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
      });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
      await response.body?.cancel();
    }
    expect(before.requests).toBe(0);
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('ends with its lease: the URL is dead, the port goes to the next, whose door the old token does not open', async () => {
    const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 0.1 });
    const client = await connectSdk(instance);
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    const ended = await daemon.until(instance.id, 'expired');
    expect(ended).toMatchObject({ stop_reason: 'expired', assigned_port: null, process_id: null });
    await expect(fetch(instance.access_url)).rejects.toThrow();
    await client.close().catch(() => {});
    expect(processesWith(instance.id)).toBe(0);
    const ports = await daemon.call<PortView[]>('GET', '/ports');
    expect(ports.body.data.find(({ port }) => port === instance.assigned_port)).toMatchObject({
      is_available: true,
    });
    const receipt = async (): Promise<EventView | undefined> => {
      const events = await daemon.call<EventView[]>('GET', `/instances/${instance.id}/events`);
      return events.body.data.find(({ event_type: type }) => type === 'receipt');
    };
    await expect.poll(receipt, { timeout: 10_000 }).toBeDefined();
    expect((await receipt())?.event_data).toMatchObject({
      processes: 0,
      port_free: true,
      token_dead: true,
      home_wiped: true,
    });

    // The pool gives the port that rested longest: it comes round again after the others.
    let next = await daemon.create({ mcp_type: 'memory', duration_minutes: 5 });
    const made = [next.id];
    while (next.assigned_port !== instance.assigned_port && made.length < 12) {
      next = await daemon.create({ mcp_type: 'memory', duration_minutes: 5 });
      made.push(next.id);
      await daemon.call('DELETE', `/instances/${made.at(-2)}`);
    }
    expect(next.assigned_port).toBe(instance.assigned_port);
    const old = await fetch(next.access_url, {
      method: 'POST',
      headers: { authorization: `Bearer ${instance.access_token}` },
    });
    expect(old.status).toBe(401);
    await old.body?.cancel();
    await daemon.call('DELETE', `/instances/${next.id}`);
  }, 60_000);

  it('keeps the lines of its server, the shim and the supervisor', async () => {
    const instance = await daemon.create({ mcp_type: 'everything', duration_minutes: 5 });
    const wanted = ['process', 'system'];
    let lines: LogLineView[] = [];
    for (
      let tries = 0;
      tries < 100 && !wanted.every((source) => lines.some((line) => line.source === source));
      tries += 1
    ) {
      lines = (await daemon.call<LogLineView[]>('GET', `/instances/${instance.id}/logs?limit=1000`)).body
        .data;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(new Set(lines.map((line) => line.source))).toEqual(new Set(wanted));
    expect(lines.every((line) => line.level !== 'error')).toBe(true);
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('can be stopped, restored, extended, given a new token, and removed', async () => {
    const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 5, name: 'mine' });
    expect((await daemon.call('POST', `/instances/${instance.id}/stop`)).status).toBeLessThan(300);
    await daemon.until(instance.id, 'disconnected');
    await expect(fetch(instance.access_url)).rejects.toThrow();
    await daemon.call('POST', `/instances/${instance.id}/restore`);
    const restored = await daemon.until(instance.id, 'running');
    expect(restored.generation).toBe(2);
    const endpoint = { ...instance, access_url: restored.access_url };
    await (await connectSdk(endpoint)).close();
    const extended = await daemon.call<{ expires_at: string }>('POST', `/instances/${instance.id}/extend`, {
      duration_minutes: 30,
    });
    expect(Date.parse(extended.body.data.expires_at)).toBeGreaterThan(Date.parse(instance.expires_at));
    const renewed = await daemon.call<{ access_token: string }>('POST', `/instances/${instance.id}/token`);
    await expect(connectSdk(endpoint)).rejects.toThrow(/access token of this instance is needed/);
    await (await connectSdk({ ...endpoint, access_token: renewed.body.data.access_token })).close();
    expect((await daemon.call('DELETE', `/instances/${instance.id}`)).status).toBe(202);
    for (let tries = 0; tries < 200; tries += 1) {
      if ((await daemon.call('GET', `/instances/${instance.id}`)).status === 404) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect((await daemon.call('GET', `/instances/${instance.id}`)).status).toBe(404);
    expect(processesWith(instance.id)).toBe(0);
  }, 60_000);
});
