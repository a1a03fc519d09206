// Who may come in, decided on raw headers in the order of the specification, before a byte of the body is read. What
// is refused never reaches the handler.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defaultRestartPolicy } from '../../src/domain/restart.ts';
import { type Bounds, contractVersion, defaultBounds, type LaunchSpec } from '../../src/shim/contract.ts';
import { createDoor } from '../../src/shim/door.ts';
import type { Door } from '../../src/shim/seams.ts';

const token = 'mcp_token-of-this-instance';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const specOf = (spec: Partial<LaunchSpec>, bounds: Partial<Bounds>): LaunchSpec => ({
  contract: contractVersion,
  instanceId: '11111111-2222-3333-4444-555555555555',
  generation: 1,
  bundleDir: '/nowhere',
  listen: { host: '127.0.0.1', port: 0 },
  hosts: ['mcp.example.com', 'exact.example.com:8443'],
  origins: ['https://app.example.com'],
  tokenSha256: sha256(token),
  lease: { remainingMs: 600_000, expiresAt: '2099-01-01T00:00:00.000Z' },
  child: { command: '', args: [], cwd: '', env: {}, transport: 'stdio', startTimeoutMs: 1, era: 'legacy' },
  secrets: [],
  restart: defaultRestartPolicy,
  bounds: { ...defaultBounds, ...bounds },
  legacySse: false,
  drainMs: 1,
  graceMs: 1,
  ...spec,
});

let open: Door | undefined;
afterEach(() => open?.close());

interface Raw {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

async function startDoor(spec: Partial<LaunchSpec> = {}, bounds: Partial<Bounds> = {}) {
  const entered: string[] = [];
  const bodies: string[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    entered.push(`${request.method} ${request.url}`);
    request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
    request.on('end', () => response.writeHead(200, ['Content-Length', '2']).end('in'));
  };
  const door = createDoor({ spec: specOf(spec, bounds), handle, say: () => {} });
  open = door;
  const port = await door.listen();
  /** Sends bytes as they are and reads until the answer is whole or the connection ends. */
  const raw = (text: string | Buffer): Promise<Raw> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      let got = '';
      const finish = (): void => {
        const end = got.indexOf('\r\n\r\n');
        const headers = end === -1 ? got : got.slice(0, end);
        resolve({
          status: Number(headers.slice(9, 12)) || 0,
          headers,
          body: end === -1 ? '' : got.slice(end + 4),
        });
        socket.destroy();
      };
      socket.on('error', () => {});
      socket.on('close', finish);
      socket.on('data', (chunk) => {
        got += chunk.toString('latin1');
        const end = got.indexOf('\r\n\r\n');
        const length = /content-length: (\d+)/i.exec(got)?.[1];
        if (end !== -1 && length !== undefined && got.length >= end + 4 + Number(length)) finish();
      });
      socket.write(text);
    });
  const host = `127.0.0.1:${port}`;
  const good: Record<string, string> = {
    Host: host,
    Authorization: `Bearer ${token}`,
    'Content-Type': 'application/json',
    'Content-Length': '2',
  };
  const ask = (
    changes: Record<string, string | undefined> = {},
    line = 'POST /mcp',
    body = '{}',
    extra = '',
  ) => {
    const headers = Object.entries({ ...good, ...changes }).filter((entry) => entry[1] !== undefined);
    return raw(
      `${line} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}${extra}\r\n${body}`,
    );
  };
  return { door, port, raw, ask, entered, bodies, host };
}

describe('a path', () => {
  it('is the endpoint or the health check; all else is 404, as JSON, whoever asks', async () => {
    const { ask, entered } = await startDoor();
    expect((await ask()).status).toBe(200);
    const nowhere = [
      '/',
      '/mcp/',
      '/MCP',
      '/mcp2',
      '/register',
      '/.well-known/oauth-protected-resource',
      '/.well-known/oauth-authorization-server/mcp',
      '/sse',
      '/messages',
      '//mcp',
      '/%6dcp',
      '*',
      'http://127.0.0.1/mcp',
      '/healthz/x',
    ];
    for (const path of nowhere) {
      for (const headers of [{}, { Authorization: undefined, Host: 'evil.example.com' }]) {
        const { status, headers: answered, body } = await ask(headers, `GET ${path}`, '');
        expect([path, status]).toEqual([path, 404]);
        expect(answered.toLowerCase()).toContain('content-type: application/json');
        expect(JSON.parse(body).error.message).toContain('/mcp');
      }
    }
    expect(entered).toEqual(['POST /mcp']);
  });

  it('says alive without a token, but not to a foreign host', async () => {
    const { ask } = await startDoor();
    const bare = { Authorization: undefined, 'Content-Type': undefined, 'Content-Length': undefined };
    const healthy = await ask(bare, 'GET /healthz', '');
    expect([healthy.status, healthy.body]).toEqual([200, '{"status":"ok"}']);
    expect((await ask({ ...bare, Host: 'evil.example.com' }, 'GET /healthz', '')).status).toBe(403);
    expect((await ask(bare, 'POST /healthz', '')).status).toBe(405);
  });

  it('of 2024-11-05 is served where the type asks for it', async () => {
    const { ask } = await startDoor({ legacySse: true });
    expect((await ask({ 'Content-Length': undefined }, 'GET /sse', '')).status).toBe(200);
    expect((await ask({}, 'POST /messages?sessionId=x')).status).toBe(200);
    expect((await ask({}, 'POST /sse')).status).toBe(405);
  });
});

describe('Host and Origin', () => {
  it('must be ours', async () => {
    const { ask, port, entered } = await startDoor();
    for (const Host of [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `LOCALHOST:${port}`,
      `[::1]:${port}`,
      'mcp.example.com',
      'mcp.example.com:443',
      'MCP.example.com:8443',
      'exact.example.com:8443',
    ])
      expect([Host, (await ask({ Host })).status]).toEqual([Host, 200]);
    const before = entered.length;
    for (const Host of [
      'evil.example.com',
      'localhost',
      `127.0.0.1:${port + 1}`,
      'mcp.example.com.evil.com',
      'exact.example.com',
      'evil.com:mcp.example.com',
      '',
      `localhost:${port}.evil.com`,
    ])
      expect([Host, (await ask({ Host })).status]).toEqual([Host, 403]);
    expect((await ask({ Host: undefined })).status).toBe(400);
    expect(entered.length).toBe(before);
  });

  it('may be an origin that is allowed, or our own; preflights are answered', async () => {
    const { ask, port, entered } = await startDoor();
    const Origin = 'https://app.example.com';
    const allowed = await ask({ Origin });
    expect([allowed.status, allowed.headers.includes(`Access-Control-Allow-Origin: ${Origin}`)]).toEqual([
      200,
      true,
    ]);
    expect((await ask({ Origin: `http://127.0.0.1:${port}` })).status).toBe(200);
    const before = entered.length;
    for (const wrong of [
      'https://evil.com',
      'null',
      'https://app.example.com.evil.com',
      'http://app.example.com',
      `http://localhost:${port}.evil.com`,
    ])
      expect([wrong, (await ask({ Origin: wrong })).status]).toEqual([wrong, 403]);
    const preflight = await ask(
      { Origin, Authorization: undefined, 'Content-Length': undefined },
      'OPTIONS /mcp',
      '',
    );
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toContain('Mcp-Session-Id');
    expect((await ask({ 'Content-Length': undefined }, 'OPTIONS /mcp', '')).status).toBe(405);
    expect(entered.length).toBe(before);
  });

  it('and Authorization stand once', async () => {
    const { ask, entered, host } = await startDoor();
    for (const extra of [
      `Host: ${host}\r\n`,
      'HOST: evil.com\r\n',
      `Authorization: Bearer ${token}\r\n`,
      'aUthorization: Bearer x\r\n',
      'Origin: a\r\nOrigin: b\r\n',
    ])
      expect([extra, (await ask({}, 'POST /mcp', '{}', extra)).status]).toEqual([
        extra,
        extra.startsWith('H') || extra.startsWith('H'.toLowerCase())
          ? expect.toSatisfy((status: number) => status === 403 || status === 400)
          : 403,
      ]);
    expect(entered).toEqual([]);
  });
});

describe('the token', () => {
  it('is in the header and nowhere else', async () => {
    const { ask, entered } = await startDoor();
    for (const Authorization of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      `Basic ${token}`,
      token,
      'Bearer wrong',
      `Bearer ${token}x`,
      `Bearer ${token} x`,
      `Bearer ${sha256(token)}`,
      `Bearer,${token}`,
    ]) {
      const { status, headers } = await ask({ Authorization });
      expect([Authorization, status]).toEqual([Authorization, 401]);
      expect(headers).toContain('WWW-Authenticate: Bearer');
    }
    expect(
      (await ask({ Authorization: undefined }, `POST /mcp?access_token=${token}&token=${token}`)).status,
    ).toBe(401);
    expect(entered).toEqual([]);
    expect((await ask({ Authorization: `bearer ${token}` })).status).toBe(200);
  });

  it('stops working the moment there is another', async () => {
    const { ask, door } = await startDoor();
    door.setToken(sha256('new'));
    expect((await ask()).status).toBe(401);
    expect((await ask({ Authorization: 'Bearer new' })).status).toBe(200);
  });
});

describe('a visitor', () => {
  const visitor = (name: string, remainingMs: number) => ({ tokenSha256: sha256(name), remainingMs });
  const as = (name: string) => ({ Authorization: `Bearer ${name}` });

  it('comes in beside the holder of the token, until it is sent away', async () => {
    const { ask, door } = await startDoor();
    expect((await ask(as('guest'))).status).toBe(401);
    expect(door.admit(visitor('guest', 60_000))).toBe(true);
    expect((await ask(as('guest'))).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect((await ask(as('guest'))).status).toBe(200);
    expect((await ask(as('other'))).status).toBe(401);
    expect(door.admit(visitor('guest', 0))).toBe(true);
    expect((await ask(as('guest'))).status).toBe(401);
    expect((await ask()).status).toBe(200);
  });

  it('is out by itself when its time is over, and has a minute at most', async () => {
    const { ask, door } = await startDoor();
    door.admit(visitor('short', 50));
    await expect.poll(async () => (await ask(as('short'))).status).toBe(401);
    vi.useFakeTimers({ toFake: ['hrtime'] });
    try {
      door.admit(visitor('long', 3_600_000));
      vi.advanceTimersByTime(59_000);
      expect((await ask(as('long'))).status).toBe(200);
      vi.advanceTimersByTime(1_001);
      expect((await ask(as('long'))).status).toBe(401);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is one of eight at most; who asks again is not counted twice', async () => {
    const { ask, door } = await startDoor();
    const names = Array.from({ length: 8 }, (_, at) => `guest-${at}`);
    for (const name of names) expect(door.admit(visitor(name, 60_000))).toBe(true);
    expect(door.admit(visitor('ninth', 60_000))).toBe(false);
    expect((await ask(as('ninth'))).status).toBe(401);
    expect(door.admit(visitor('guest-3', 60_000))).toBe(true);
    door.admit(visitor('guest-0', 0));
    expect(door.admit(visitor('ninth', 60_000))).toBe(true);
    expect((await ask(as('ninth'))).status).toBe(200);
  });

  it('outlives a new access token, and no end of the lease', async () => {
    const { ask, door } = await startDoor();
    door.admit(visitor('guest', 60_000));
    door.setToken(sha256('new'));
    expect((await ask(as('guest'))).status).toBe(200);
    expect((await ask()).status).toBe(401);
    door.endLease();
    expect((await ask(as('guest'))).status).toBe(410);
  });
});

describe('a request', () => {
  it('has a method and a content type we serve', async () => {
    const { ask, entered } = await startDoor();
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'TRACE'])
      expect([method, (await ask({ 'Content-Length': undefined }, `${method} /mcp`, '')).status]).toEqual([
        method,
        405,
      ]);
    for (const type of [
      undefined,
      'text/plain',
      'application/jsonx',
      'application/x-www-form-urlencoded',
      'multipart/form-data; x=application/json',
    ])
      expect([type, (await ask({ 'Content-Type': type })).status]).toEqual([type, 415]);
    expect((await ask({ 'Content-Encoding': 'gzip' })).status).toBe(415);
    expect(entered).toEqual([]);
    for (const type of ['application/json; charset=utf-8', 'Application/JSON;x=y', 'application/json ;x'])
      expect([type, (await ask({ 'Content-Type': type })).status]).toEqual([type, 200]);
  });

  it('over the size limit is refused before its body comes', async () => {
    const { ask, entered, bodies } = await startDoor({}, { bodyBytesMax: 1_000 });
    const { status, headers } = await ask({ 'Content-Length': '1001' }, 'POST /mcp', '');
    expect([status, headers.includes('Connection: close')]).toEqual([413, true]);
    const expecting = await ask({ 'Content-Length': '1001', Expect: '100-continue' }, 'POST /mcp', '');
    expect(expecting.status).toBe(413);
    expect([entered, bodies]).toEqual([[], []]);
    const fine = await ask({ Expect: '100-continue' });
    expect(fine.headers + fine.body).toContain('100 Continue');
  });

  it('that is refused closes a connection whose body has not come', async () => {
    const { ask, bodies } = await startDoor();
    const { headers } = await ask(
      { Authorization: 'Bearer wrong', 'Content-Length': '1000000' },
      'POST /mcp',
      'x'.repeat(1_000),
    );
    expect(headers).toContain('Connection: close');
    expect(bodies).toEqual([]);
  });

  it('in pieces that disagree about its length is no request', async () => {
    const { ask, raw, entered, host } = await startDoor();
    expect((await ask({}, 'POST /mcp', '{}', 'Content-Length: 5\r\n')).status).toBe(400);
    expect((await ask({}, 'POST /mcp', '0\r\n\r\n', 'Transfer-Encoding: chunked\r\n')).status).toBe(400);
    expect((await raw(`GET /mcp HTTP/1.1\r\nHost: ${host}\r\nX: a\r\n b\r\n\r\n`)).status).toBe(400);
    expect((await raw('\x16\x03\x01\x02\x00\x01\x00')).status).toBe(400);
    expect(entered).toEqual([]);
  });
});

describe('a lease', () => {
  it('that is over is told with when and how to renew, to whoever has the token', async () => {
    const { ask, door } = await startDoor();
    door.endLease();
    const { status, body } = await ask();
    expect(status).toBe(410);
    expect(JSON.parse(body)).toMatchObject({
      jsonrpc: '2.0',
      error: {
        message: expect.stringMatching(/2099-01-01.*minimcp renew 11111111/),
        data: { endedAt: '2099-01-01T00:00:00.000Z' },
      },
    });
    expect((await ask({ Authorization: 'Bearer wrong' })).status).toBe(401);
    door.setLease({ remainingMs: 60_000, expiresAt: '2100-01-01T00:00:00.000Z' });
    expect((await ask()).status).toBe(200);
  });

  it('ends by itself when its time has passed', async () => {
    const { ask, door } = await startDoor({
      lease: { remainingMs: 0, expiresAt: '2020-01-01T00:00:00.000Z' },
    });
    expect((await ask()).status).toBe(410);
    door.setLease({ remainingMs: 30, expiresAt: '2020-01-01T00:00:00.000Z' });
    await expect.poll(async () => (await ask()).status).toBe(410);
  });
});

describe('slow and huge headers', () => {
  it('are given up', async () => {
    const { raw, ask, host } = await startDoor({}, { headersTimeoutMs: 200, headerBytesMax: 4_096 });
    expect((await raw(`POST /mcp HTTP/1.1\r\nHost: ${host}\r\nX: `)).status).toBe(408);
    expect((await raw('')).headers).toMatch(/^$|408/);
    expect((await ask({ 'X-Bomb': 'x'.repeat(10_000) })).status).toBe(431);
    expect((await ask({}, 'POST /mcp', '{}', 'X: y\r\n'.repeat(2_000))).status).toBe(431);
    expect((await ask({}, `POST /mcp?${'x'.repeat(10_000)}`)).status).toBe(431);
    expect((await ask()).status).toBe(200);
  });
});

describe('anything', () => {
  it('never crashes it, and never comes in without the token', async () => {
    const { raw, ask, entered, host } = await startDoor({}, { headersTimeoutMs: 300 });
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        `Host: ${host}`,
        'Host: evil',
        'Authorization: Bearer x',
        'Content-Length: 5',
        'Transfer-Encoding: chunked',
        'Connection: close',
        'Upgrade: websocket',
        'Expect: 100-continue',
        '',
      ),
    );
    const start = fc.oneof(
      fc.string(),
      fc.constantFrom(
        'POST /mcp HTTP/1.1',
        'GET /mcp HTTP/1.1',
        'CONNECT x:1 HTTP/1.1',
        'GET /healthz HTTP/1.1',
        'PRI * HTTP/2.0',
        'POST /mcp HTTP/1.0',
      ),
    );
    await fc.assert(
      fc.asyncProperty(start, fc.array(line, { maxLength: 6 }), fc.string(), async (first, lines, body) => {
        await raw(
          `${first}\r\n${lines.map((text) => `${text}\r\n`).join('')}\r\n${body}\r\nConnection: close\r\n\r\n`,
        );
        return entered.length === 0;
      }),
      { numRuns: 60 },
    );
    expect((await ask()).status).toBe(200);
  }, 60_000);
});

it('takes the address it is told, and says when that is taken', async () => {
  const { port } = await startDoor();
  const second = createDoor({
    spec: specOf({ listen: { host: '127.0.0.1', port } }, {}),
    handle: () => {},
    say: () => {},
  });
  await expect(second.listen()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await second.close();
  await second.close();
});
