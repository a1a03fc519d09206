// What goes wrong with an instance itself, each provoked for real: a server that exits at once, one that never answers,
// a key that was taken away, a shim or a child killed from outside. Each ends in words its owner can act on, with
// nothing left over.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceView, InstanceWithToken, PortView } from '../../src/api/contract.ts';
import { connectSdk } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { addProgramType, answersThen } from '../support/types.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon({ ports: 20 });
});
afterAll(() => daemon.dispose());

const freePorts = async (): Promise<number> =>
  (await daemon.call<PortView[]>('GET', '/ports?limit=200')).body.data.filter((port) => port.is_available)
    .length;

describe('a server', () => {
  it('that exits at once ends in error with its last lines, and its port is free', async () => {
    const before = await freePorts();
    await addProgramType(
      daemon,
      'exits',
      `process.stderr.write('no such licence: set LICENCE_FILE\\n'); process.exit(3)`,
    );
    const { body } = await daemon.call<InstanceView>('POST', '/instances', { mcp_type: 'exits' });
    expect(body.data).toMatchObject({
      status: 'error',
      stop_reason: 'start_failed',
      exit_code: 3,
      assigned_port: null,
    });
    expect(body.data.error_message).toContain('no such licence: set LICENCE_FILE');
    expect(await freePorts()).toBe(before);
  });

  it('that never answers is given up after its start time-out', async () => {
    await addProgramType(daemon, 'silent', `process.stdin.resume()`, { start_timeout_seconds: 1 });
    const { body } = await daemon.call<InstanceView>('POST', '/instances', { mcp_type: 'silent' });
    expect(body.data).toMatchObject({ status: 'error', stop_reason: 'start_timeout', assigned_port: null });
  });

  it('killed −9 is running again on the same port, with the restart counted', async () => {
    const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 5 });
    process.kill(instance.process_id ?? -1, 'SIGKILL');
    await expect.poll(async () => (await daemon.get(instance.id)).restarts, { timeout: 15_000 }).toBe(1);
    const again = await daemon.until(instance.id, 'running');
    expect(again).toMatchObject({ assigned_port: instance.assigned_port, generation: 1 });
    expect(again.process_id).not.toBe(instance.process_id);
    await (await connectSdk(instance)).close();
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });

  it('that keeps crashing ends in error, after the tries its type allows, with its last lines', async () => {
    await addProgramType(
      daemon,
      'crashes',
      answersThen(`process.stderr.write('out of cheese\\n'); process.exit(9)`),
      { restart_policy: { tries: 2, backoff_seconds: 0.05 } },
    );
    const { body } = await daemon.call<InstanceView>('POST', '/instances', { mcp_type: 'crashes' });
    const ended = await daemon.until(body.data.id, 'error');
    expect(ended).toMatchObject({ stop_reason: 'crash_loop', exit_code: 9, restarts: 2 });
    expect(ended.error_message).toContain('out of cheese');
  });
});

describe('a shim', () => {
  it('killed −9 is replaced by another generation on the same port and token', async () => {
    const instance = await daemon.create({ mcp_type: 'memory', duration_minutes: 5 });
    const shim = await shimOf(instance);
    process.kill(shim, 'SIGKILL');
    await expect.poll(async () => (await daemon.get(instance.id)).generation, { timeout: 15_000 }).toBe(2);
    const again = await daemon.until(instance.id, 'running');
    expect(again).toMatchObject({ assigned_port: instance.assigned_port, restarts: 1 });
    await (await connectSdk(instance)).close();
    await daemon.call('DELETE', `/instances/${instance.id}`);
  });
});

async function shimOf(instance: InstanceWithToken): Promise<number> {
  const [row] = await daemon.database.db.query<{ handle: { pid: number } }>(
    'SELECT handle FROM mcp_instances WHERE id = $1',
    [instance.id],
  );
  return row?.handle.pid ?? -1;
}
