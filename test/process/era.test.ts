// Which era a server speaks is found out in the background by a sibling of the child that serves, and stored for its
// version. The child that serves is never asked.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { McpTypeView } from '../../src/api/contract.ts';
import { connectSdk } from '../support/clients.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { addProgramType } from '../support/types.ts';

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startDaemon();
});
afterAll(() => daemon.dispose());

const legacyAnswer = `answer(id, { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'fixture', version: '1' } });`;

/** A server that answers initialize and tools/list; `discover` is what it does when it is asked for server/discover. */
const server = (discover: string, initialize = legacyAnswer): string => `
  const answer = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
  process.stdin.on('data', (chunk) => {
    for (const line of String(chunk).split('\\n').filter(Boolean)) {
      const { id, method } = JSON.parse(line);
      if (method === 'server/discover') { ${discover} }
      else if (method === 'initialize') { ${initialize} }
      else if (id !== undefined) answer(id, {});
    }
  });`;

const eraOf = async (name: string): Promise<string> =>
  (await daemon.call<McpTypeView>('GET', `/mcp-types/${name}`)).body.data.era;

it.each([
  ['one-of-both-eras', `answer(id, { supportedVersions: ['2026-07-28'], capabilities: {} })`, 'dual'],
  ['one-that-exits', 'process.exit(1)', 'legacy'],
  [
    'one-that-refuses',
    `process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }) + '\\n')`,
    'legacy',
  ],
])('%s is known as such after its first start', async (name, discover, era) => {
  await addProgramType(daemon, name, server(discover));
  const instance = await daemon.create({ mcp_type: name, duration_minutes: 5 });
  expect(instance.status).toBe('running');
  await expect.poll(() => eraOf(name), { timeout: 15_000 }).toBe(era);
  expect(await daemon.get(instance.id)).toMatchObject({
    status: 'running',
    restarts: 0,
    process_id: instance.process_id,
  });
});

it('one that refuses initialize is opened in the modern era, and legacy clients are told so', async () => {
  const refuse = `process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32022, message: 'Unsupported protocol version' } }) + '\\n')`;
  await addProgramType(
    daemon,
    'modern-only',
    server(`answer(id, { supportedVersions: ['2026-07-28'], capabilities: {} })`, refuse),
  );
  const instance = await daemon.create({ mcp_type: 'modern-only', duration_minutes: 5 });
  expect(instance.status).toBe('running');
  await expect(connectSdk(instance)).rejects.toThrow(/unsupported protocol version/i);
  await expect.poll(() => eraOf('modern-only'), { timeout: 15_000 }).toBe('modern');
});
