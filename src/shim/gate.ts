// The checks at the door, in the order of the specification, on raw headers and nothing else. Each refusal is a status
// and a JSON-RPC error; it says what would be right, and of the token only that it is not.
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { codes, errorText } from './bridge/answers.ts';
import type { DoorOptions } from './seams.ts';
import type { Visitors } from './visitors.ts';

/** What the checks know. */
export interface Gate {
  readonly spec: DoorOptions['spec'];
  token: Buffer;
  /** The Authorization that matched the token: comparing with it is a tenth of the price of a hash. */
  proved: string | null;
  readonly visitors: Visitors;
  hosts: Set<string>;
  readonly origins: ReadonlySet<string>;
  leaseOver: boolean;
  endedAt: string;
}

/** Why a request does not come in. */
export interface TurnAway {
  readonly status: number;
  readonly text: string;
  readonly headers?: readonly string[];
}

/** The checks of protocol.md, in its order. Null: come in. */
export function check(gate: Gate, request: IncomingMessage): TurnAway | null {
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
  if (gate.token.length !== digest.length || !timingSafeEqual(digest, gate.token))
    return gate.visitors.has(digest);
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
