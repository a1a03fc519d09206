// Which era a child speaks, found by asking a process that serves nobody; and children of the modern era as the bridge
// opens them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { probeEra } from '../../src/shim/bridge/probe.ts';
import { post } from '../support/mcp-http.ts';
import { endpointOf } from '../support/raw-shim.ts';
import { startShim } from '../support/shim-harness.ts';

const fixtures = join(import.meta.dirname, '../fixtures/mcp');

async function probe(args: string[], timeoutMs = 5_000) {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout });
  child.stdin.on('error', () => {});
  const exited = new Promise((resolve) => child.once('exit', resolve));
  try {
    return await probeEra(
      {
        send: (line) => child.stdin.write(`${line}\n`),
        onLine: (callback) => void lines.on('line', (line) => callback(Buffer.from(line))),
        exited,
      },
      timeoutMs,
    );
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

describe('a probe', () => {
  it('tells the eras apart', async () => {
    expect(await probe([join(fixtures, 'legacy-server.ts')])).toBe('legacy');
    expect(await probe([join(fixtures, 'raw-child.ts')])).toBe('legacy');
    expect(await probe([join(fixtures, 'modern-server.ts')])).toBe('modern');
    expect(await probe([join(fixtures, 'modern-server.ts'), 'dual'])).toBe('dual');
  });

  it('takes silence, junk and a sudden end for legacy, in bounded time', async () => {
    expect(await probe(['-e', 'process.stdin.resume()'], 200)).toBe('legacy');
    expect(await probe(['-e', 'process.stdin.once("data", () => process.exit(1))'])).toBe('legacy');
    expect(await probe(['-e', 'console.log("hello"); console.log("{}"); process.stdin.resume()'], 200)).toBe(
      'legacy',
    );
  });
});

describe('a modern child', () => {
  const start = (args: string[] = []) =>
    startShim({ child: { args: [join(fixtures, 'modern-server.ts'), ...args], era: 'modern' } });

  it('is opened with server/discover, and tells legacy clients plainly that it is not for them', async () => {
    await using shim = await start();
    expect((await shim.state()).server).toEqual({
      name: 'modern-fixture',
      version: '1.0.0',
      protocolVersion: '2026-07-28',
    });
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const answer = await post(endpointOf(shim), { jsonrpc: '2.0', id: 4, method: 'initialize', params });
    expect(answer.status).toBe(400);
    expect(answer.messages[0]).toMatchObject({
      id: 4,
      error: { code: -32022, data: { supported: ['2026-07-28'], requested: '2025-11-25' } },
    });
    expect(answer.messages[0].error.message).toContain('2026-07-28');
    const other = await post(
      endpointOf(shim),
      { jsonrpc: '2.0', id: 5, method: 'tools/list' },
      { 'Mcp-Session-Id': 'x' },
    );
    expect(other.messages[0].error.code).toBe(-32022);
  });

  it("is asked under our ids and tokens, and answers under the clients'", async () => {
    await using shim = await start();
    const envelope = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const headers = {
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': 'tools/call',
      'Mcp-Name': 'test_tool_with_progress',
    };
    const body = (progressToken: string) => ({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'test_tool_with_progress', arguments: {}, _meta: { ...envelope, progressToken } },
    });
    const answers = await Promise.all(
      ['a', 'b'].map((token) => post(endpointOf(shim), body(token), headers)),
    );
    for (const [at, { messages }] of answers.entries()) {
      expect(messages.slice(0, 3).map(({ params }) => params.progressToken)).toEqual(
        Array(3).fill(['a', 'b'][at]),
      );
      expect(messages[3]).toMatchObject({ id: 1, result: { resultType: 'complete' } });
    }
  });
});
