// The instance's HTTP server: who may come in is decided by gate.ts before any byte of a body is read. A refused request
// costs the child nothing, and its connection is closed when a body was to follow. What is not HTTP gets one line.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { afterMonotonic } from '../base/clock.ts';
import { isOpen } from './bridge/answers.ts';
import type { Lease } from './contract.ts';
import { check, type Gate, type TurnAway } from './gate.ts';
import type { Door, DoorOptions } from './seams.ts';
import { createVisitors } from './visitors.ts';

/** Idle connections between requests; longer than most clients' pools, so that they are the ones to close. */
const keepAliveMs = 65_000;

/** Makes the door of one instance; it is shut until `listen`. */
export function createDoor({ spec, handle, say }: DoorOptions): Door {
  const { bounds } = spec;
  const gate: Gate = {
    spec,
    token: Buffer.from(spec.tokenSha256, 'hex'),
    proved: null,
    visitors: createVisitors(),
    hosts: new Set(),
    origins: new Set(spec.origins),
    leaseOver: spec.lease.remainingMs <= 0,
    endedAt: spec.lease.expiresAt,
  };
  const server = createServer({
    maxHeaderSize: bounds.headerBytesMax,
    headersTimeout: bounds.headersTimeoutMs,
    requestTimeout: Math.max(bounds.headersTimeoutMs, bounds.bodyTimeoutMs),
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.max(
      50,
      Math.min(5_000, bounds.headersTimeoutMs / 2, bounds.bodyTimeoutMs / 2),
    ),
    noDelay: true,
  });
  server.maxConnections = bounds.connectionsMax;
  // A client that does not read its answer: nothing has moved, and something waits to. Others may stay silent.
  server.setTimeout(bounds.bodyTimeoutMs, (socket) => {
    if (socket.writableLength > 0) socket.destroy();
  });
  const enter = (request: IncomingMessage, response: ServerResponse): boolean => {
    const refusal = check(gate, request);
    if (refusal === null) {
      if (request.headers.origin !== undefined) allowOrigin(response, request.headers.origin);
      return true;
    }
    turnAway(request, response, refusal);
    return false;
  };
  server.on('request', (request, response) => {
    if (enter(request, response)) handle(request, response);
  });
  server.on('checkContinue', (request, response) => {
    if (!enter(request, response)) return;
    response.writeContinue();
    handle(request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => answerBroken(error, socket as Socket));
  server.on('error', (error) => say('error', `The HTTP server failed: ${error.message}`));
  let cancelDeadline = afterMonotonic(spec.lease.remainingMs, () => {
    gate.leaseOver = true;
  });
  return {
    listen: () => listen(server, gate),
    setToken(tokenSha256) {
      gate.token = Buffer.from(tokenSha256, 'hex');
      gate.proved = null;
    },
    admit: (visitor) => gate.visitors.admit(visitor),
    setLease(lease: Lease) {
      cancelDeadline();
      gate.endedAt = lease.expiresAt;
      gate.leaseOver = lease.remainingMs <= 0;
      cancelDeadline = afterMonotonic(lease.remainingMs, () => {
        gate.leaseOver = true;
      });
    },
    endLease() {
      gate.leaseOver = true;
    },
    leavePort() {
      // Not as HTTP shuts it, which takes who has come in and not yet spoken for idle, and throws them out.
      afterOneMoreLook(() => NetServer.prototype.close.call(server));
    },
    close() {
      cancelDeadline();
      return new Promise((resolve) => {
        afterOneMoreLook(() => {
          server.close(() => resolve());
          server.closeAllConnections();
        });
      });
    },
  };
}

/**
 * What waits to be accepted or read would be reset, and who sent it could not tell whether it was done: it is looked at
 * once more, and the door is shut right after.
 */
function afterOneMoreLook(shut: () => void): void {
  setImmediate(() => setImmediate(shut));
}

function listen(server: Server, gate: Gate): Promise<number> {
  const { host, port, fd } = gate.spec.listen;
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    server.once('error', onError);
    server.listen(fd === undefined ? { host, port } : { fd }, () => {
      server.removeListener('error', onError);
      const actual = (server.address() as AddressInfo).port;
      const own = [host, 'localhost', '127.0.0.1', '[::1]'].map((name) => `${bracketed(name)}:${actual}`);
      gate.hosts = new Set([...own, ...gate.spec.hosts].map((name) => name.toLowerCase()));
      resolve(actual);
    });
  });
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

const corsAnswerHeaders = 'Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After';

function allowOrigin(response: ServerResponse, origin: string): void {
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader('Access-Control-Expose-Headers', corsAnswerHeaders);
  response.setHeader('Vary', 'Origin');
}

/** Answers without reading the body; a connection whose body has not come is closed, so that it never does. */
function turnAway(request: IncomingMessage, response: ServerResponse, refusal: TurnAway): void {
  if (!isOpen(response)) return;
  const hasBody =
    request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const closes = hasBody && request.headers['content-length'] !== '0';
  const { status, text, headers = [] } = refusal;
  const all = [...headers, 'Content-Length', String(Buffer.byteLength(text))];
  if (status !== 204) all.push('Content-Type', 'application/json');
  if (closes) all.push('Connection', 'close');
  response.writeHead(status, all);
  response.end(text);
}

const brokenAnswers: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** What is not HTTP, too long or too slow gets one line and the end of its connection. */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const status = brokenAnswers[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
