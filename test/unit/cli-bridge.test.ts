// Parts of `minimcp bridge`: lines as they come in pieces, the headers of the modern era, and what is sent again.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { readLines } from '../../src/cli/bridge/lines.ts';
import { createModernHeaders, versionOf } from '../../src/cli/bridge/modern.ts';
import { createWire } from '../../src/cli/bridge/wire.ts';

async function linesOf(pieces: readonly (string | Buffer)[], bytesMax?: number): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  for await (const line of readLines(from(pieces), bytesMax)) found.push(line);
  return found;
}

async function* from(pieces: readonly (string | Buffer)[]): AsyncGenerator<string | Buffer> {
  yield* pieces;
}

describe('lines', () => {
  it('come whole, however they are cut, and without empty ones', async () => {
    const bytes = Buffer.from('{"ä":1}\r\n\n{"b":2}\nlast');
    const pieces = [...bytes].map((byte) => Buffer.from([byte]));
    expect(await linesOf(pieces)).toEqual(['{"ä":1}', '{"b":2}', 'last']);
    expect(await linesOf([bytes])).toEqual(['{"ä":1}', '{"b":2}', 'last']);
  });

  it('over the bound are told as null, and cost only themselves', async () => {
    expect(await linesOf(['12345678\n123456789\nafter\n', '1234', '56789'], 8)).toEqual([
      ...['12345678', null, 'after', null],
    ]);
  });
});

describe('modern headers', () => {
  const version = '2026-07-28';

  it('name the revision, the method and what it is about, wrapped where a header cannot carry it', () => {
    const headers = createModernHeaders();
    const ofCall = (name: string) => headers.of({ id: 1, method: 'tools/call', params: { name } }, version);
    expect(ofCall('echo')).toEqual({
      'mcp-protocol-version': version,
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
    });
    for (const name of ['größe', ' padded ', '=?base64?ZQ==?=', 'two\nlines']) {
      const wrapped = /^=\?base64\?(.+)\?=$/.exec(ofCall(name)['mcp-name'] ?? '')?.[1] ?? '';
      expect(Buffer.from(wrapped, 'base64').toString(), name).toBe(name);
    }
    const uri = 'file:///a';
    expect(headers.of({ id: 1, method: 'resources/read', params: { uri } }, version)['mcp-name']).toBe(uri);
    expect(headers.of({ id: 1, method: 'tools/list' }, version)).not.toHaveProperty('mcp-name');
  });

  it('mirror the arguments a tool has declared, and forget them with the tool', () => {
    const headers = createModernHeaders();
    const region = { type: 'string', 'x-mcp-header': 'Region' };
    const deep = { type: 'object', properties: { level: { type: 'integer', 'x-mcp-header': 'Level' } } };
    const tool = { name: 'query', inputSchema: { type: 'object', properties: { region, deep } } };
    const call = {
      id: 1,
      method: 'tools/call',
      params: { name: 'query', arguments: { region: 'eu', deep: { level: 3 } } },
    };
    headers.learn({ id: 1, result: { tools: [tool] } });
    expect(headers.of(call, version)).toMatchObject({ 'mcp-param-region': 'eu', 'mcp-param-level': '3' });
    headers.learn({ id: 1, result: { tools: [{ ...tool, inputSchema: { type: 'object' } }] } });
    expect(headers.of(call, version)).not.toHaveProperty('mcp-param-region');
  });

  it('are for messages with an envelope only', () => {
    const _meta = { 'io.modelcontextprotocol/protocolVersion': version };
    expect(versionOf({ id: 1, method: 'tools/list', params: { _meta } })).toBe(version);
    expect(versionOf({ id: 1, method: 'tools/list', params: { _meta: {} } })).toBeUndefined();
    expect(versionOf({ id: 1, method: 'initialize' })).toBeUndefined();
  });
});

describe('a request that may be done once only', () => {
  it('is made again when a door that asks for bodies breaks off before it asked, however late', async () => {
    let requests = 0;
    const server = createServer().on('checkContinue', (request, response) => {
      requests += 1;
      // Later than a body would be sent to a door that never asks.
      if (requests === 2) return void setTimeout(() => request.socket.destroy(), 2_200);
      response.writeContinue();
      request.resume().once('end', () => response.end('{}'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const ask = () => Promise.resolve(undefined);
    const wire = createWire({ name: 'mine', url: `http://127.0.0.1:${port}/mcp`, token: 'no-matter', ask });
    try {
      for (const wanted of [1, 3]) {
        const { signal } = new AbortController();
        const answer = await wire.send({ method: 'POST', headers: {}, body: '{}', signal });
        expect(answer.statusCode).toBe(200);
        answer.resume();
        expect(requests).toBe(wanted);
      }
    } finally {
      wire.close();
      server.close();
    }
  });
});
