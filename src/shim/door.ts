// The instance's HTTP server: who may come in, decided on raw headers before any byte of a body is read. A refused
// request costs the child nothing. It is told tokens as SHA-256 only; a wrong one is told by nothing but 401.
import { hash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterMonotonic } from '../base/clock.ts';
import { codes, errorText, isOpen } from './bridge/answers.ts';
import type { Lease } from './contract.ts';
import type { Door, DoorOptions } from './seams.ts';

/** Idle connections between requests; longer than most clients' pools, so that they are the ones to close. */
const keepAliveMs = 65_000;

/** Makes the door of one instance; it is shut until `listen`. */
export function createDoor({ spec, handle, say }: DoorOptions): Door {
  const { bounds } = spec;
  const gate: Gate = {
    spec,
    token: Buffer.from(spec.tokenSha256, 'hex'),
    proved: null,
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
    close() {
      cancelDeadline();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

interface Gate {
  readonly spec: DoorOptions['spec'];
  token: Buffer;
  /** The Authorization that matched the token: comparing with it is a tenth of the price of a hash. */
  proved: string | null;
  hosts: Set<string>;
  readonly origins: ReadonlySet<string>;
  leaseOver: boolean;
  endedAt: string;
}

interface TurnAway {
  readonly status: number;
  readonly text: string;
  readonly headers?: readonly string[];
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

/** The checks of protocol.md, in its order. Null: come in. */
function check(gate: Gate, request: IncomingMessage): TurnAway | null {
  const url = request.url ?? '';
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  if (!isServed(gate, path))
    return { status: 404, text: problem('There is nothing here; the MCP endpoint is /mcp') };
  const raw = seenOnce(request.rawHeaders);
  if (raw === null) return { status: 403, text: problem('A header that must stand once stands twice') };
  if (!isKnownHost(gate, raw.host)) return { status: 403, text: problem('This Host is not served here') };
  if (raw.origin !== null && !isKnownOrigin(gate, raw.origin, raw.host))
    return { status: 403, text: problem('This Origin is not allowed') };
  if (path === '/healthz') return healthAnswer(request);
  if (request.method === 'OPTIONS' && raw.origin !== null) return preflight(raw.origin);
  if (!isToken(gate, raw.authorization))
    return {
      status: 401,
      text: problem('An access token of this instance is needed: Authorization: Bearer <token>'),
      headers: ['WWW-Authenticate', raw.authorization === null ? 'Bearer' : 'Bearer error="invalid_token"'],
    };
  return checkMethod(gate, request, path) ?? checkLease(gate);
}

function isServed(gate: Gate, path: string): boolean {
  if (path === '/mcp' || path === '/healthz') return true;
  return gate.spec.legacySse && (path === '/sse' || path === '/messages');
}

function problem(message: string): string {
  return errorText('null', codes.refused, message);
}

interface Seen {
  host: string | null;
  origin: string | null;
  authorization: string | null;
}

/** Node keeps the first of two Host or Authorization headers and drops the rest; a proxy may keep the last. */
function seenOnce(rawHeaders: readonly string[]): Seen | null {
  const seen: Seen = { host: null, origin: null, authorization: null };
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length !== 4 && name.length !== 6 && name.length !== 13) continue;
    const lower = name.toLowerCase();
    if (lower !== 'host' && lower !== 'origin' && lower !== 'authorization') continue;
    if (seen[lower] !== null) return null;
    seen[lower] = rawHeaders[at + 1] as string;
  }
  return seen;
}

function isKnownHost(gate: Gate, host: string | null): boolean {
  if (host === null) return false;
  const lower = host.toLowerCase();
  if (gate.hosts.has(lower)) return true;
  // A name without a port in `hosts` is served on any port: a proxy may stand in front.
  const port = lower.lastIndexOf(':');
  return port > lower.lastIndexOf(']') && gate.hosts.has(lower.slice(0, port));
}

/** Our own origin is as good as our own Host, which has been checked. */
function isKnownOrigin(gate: Gate, origin: string, host: string | null): boolean {
  if (gate.origins.has(origin)) return true;
  const own = host?.toLowerCase();
  const lower = origin.toLowerCase();
  return lower === `http://${own}` || lower === `https://${own}`;
}

function isToken(gate: Gate, authorization: string | null): boolean {
  if (authorization === null) return false;
  if (gate.proved !== null && isSame(authorization, gate.proved)) return true;
  if (authorization.slice(0, 7).toLowerCase() !== 'bearer ') return false;
  const digest = hash('sha256', authorization.slice(7).trim(), 'buffer');
  if (gate.token.length !== digest.length || !timingSafeEqual(digest, gate.token)) return false;
  gate.proved = authorization;
  return true;
}

/** Compares to the end wherever the two differ: the time it takes tells nothing but the length. */
function isSame(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let at = 0; at < one.length; at += 1) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}

const methods: Readonly<Record<string, readonly string[]>> = {
  '/mcp': ['POST', 'GET', 'DELETE'],
  '/sse': ['GET'],
  '/messages': ['POST'],
};

function checkMethod(gate: Gate, request: IncomingMessage, path: string): TurnAway | null {
  const allowed = methods[path] ?? [];
  const { method = '' } = request;
  if (!allowed.includes(method))
    return {
      status: 405,
      text: problem(`${method} is not served here`),
      headers: ['Allow', allowed.join(', ')],
    };
  if (method !== 'POST') return null;
  const type = request.headers['content-type'] ?? '';
  if (type !== 'application/json' && !/^application\/json\s*(;|$)/i.test(type))
    return { status: 415, text: problem('Send application/json'), headers: ['Accept', 'application/json'] };
  if (request.headers['content-encoding'] !== undefined)
    return { status: 415, text: problem('Send the body without a Content-Encoding') };
  if (Number(request.headers['content-length'] ?? 0) > gate.spec.bounds.bodyBytesMax)
    return { status: 413, text: problem(`The body is over ${gate.spec.bounds.bodyBytesMax} bytes`) };
  return null;
}

function checkLease(gate: Gate): TurnAway | null {
  if (!gate.leaseOver) return null;
  const id = gate.spec.instanceId;
  const message = `The lease of this instance ended at ${gate.endedAt}. Renew it: minimcp renew ${id}`;
  const data = { endedAt: gate.endedAt, renew: `POST /api/v1/instances/${id}/renew` };
  return { status: 410, text: errorText('null', codes.refused, message, data) };
}

function healthAnswer(request: IncomingMessage): TurnAway {
  if (request.method === 'GET' || request.method === 'HEAD') return { status: 200, text: '{"status":"ok"}' };
  return { status: 405, text: problem('Only GET'), headers: ['Allow', 'GET, HEAD'] };
}

const corsAnswerHeaders = 'Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After';

function preflight(origin: string): TurnAway {
  const headers = [
    'Access-Control-Allow-Origin',
    origin,
    'Access-Control-Allow-Methods',
    'GET, POST, DELETE',
    'Access-Control-Allow-Headers',
    'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name',
    'Access-Control-Max-Age',
    '600',
    'Vary',
    'Origin',
  ];
  return { status: 204, text: '', headers };
}

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
