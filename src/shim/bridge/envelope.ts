// The per-request envelope of 2026-07-28: what a request says of its version and client, in `_meta` and in headers.
// Headers that differ from the body are refused: what stands between may have acted on the one, the server acts on
// the other. Pure.
import type { IncomingHttpHeaders } from 'node:http';
import { codes, type Refusal } from './answers.ts';
import { isObject, type Json, objectIn, stringIn } from './messages.ts';
import type { Envelope } from './state.ts';
import { logLevels } from './wants.ts';

export const modernVersion = '2026-07-28';

const prefix = 'io.modelcontextprotocol/';
export const metaKeys = {
  version: `${prefix}protocolVersion`,
  client: `${prefix}clientInfo`,
  capabilities: `${prefix}clientCapabilities`,
  logLevel: `${prefix}logLevel`,
  server: `${prefix}serverInfo`,
  subscription: `${prefix}subscriptionId`,
} as const;

/** Error codes the revision defines. */
export const modernCodes = {
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** Where Mcp-Name finds its value. */
const nameSources: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** Whether a message is spoken in the modern way, by its body or by its header. */
export function isModern(message: Json, headers: IncomingHttpHeaders): boolean {
  const meta = objectIn(message.params, '_meta');
  if (meta !== undefined && Object.hasOwn(meta, metaKeys.version)) return true;
  const header = headers['mcp-protocol-version'];
  return typeof header === 'string' && header >= '2026' && /^\d{4}-\d{2}-\d{2}$/.test(header);
}

/** Checks a modern request. @returns its envelope, or why it is refused */
export function readEnvelope(
  message: Json,
  headers: IncomingHttpHeaders,
  supported: readonly string[],
): Envelope | Refusal {
  const meta = objectIn(message.params, '_meta') ?? {};
  const version = stringIn(meta, metaKeys.version);
  const capabilities = objectIn(meta, metaKeys.capabilities);
  for (const [key, value] of [
    [metaKeys.version, version],
    [metaKeys.capabilities, capabilities],
  ] as const) {
    if (value === undefined)
      return refused(codes.invalidParams, `Invalid params: _meta lacks ${key}, or it has the wrong type`);
  }
  const mismatch = headerMismatch(message, headers, version as string);
  if (mismatch !== null) return refused(modernCodes.headerMismatch, mismatch);
  if (version !== modernVersion)
    return refused(modernCodes.unsupportedVersion, 'Unsupported protocol version', {
      supported,
      requested: version,
    });
  const level = stringIn(meta, metaKeys.logLevel);
  const logLevel = level === undefined ? -1 : logLevels.indexOf(level);
  if (meta[metaKeys.logLevel] !== undefined && logLevel === -1)
    return refused(codes.invalidParams, `Invalid params: ${metaKeys.logLevel} is not a log level`);
  return { capabilities: capabilities as Json, logLevel: logLevel === -1 ? null : logLevel };
}

/** Whether `readEnvelope` refused. */
export function isRefusal(value: Envelope | Refusal): value is Refusal {
  return 'status' in value;
}

function refused(code: number, message: string, data?: unknown): Refusal {
  return data === undefined ? { status: 400, code, message } : { status: 400, code, message, data };
}

function headerMismatch(message: Json, headers: IncomingHttpHeaders, version: string): string | null {
  const wanted = [
    ['mcp-protocol-version', version, false],
    ['mcp-method', message.method as string, false],
  ] as [string, string, boolean][];
  const source = nameSources[message.method as string];
  const name = source === undefined ? undefined : stringIn(message.params, source);
  if (name !== undefined) wanted.push(['mcp-name', name, true]);
  for (const [header, body, isEncodable] of wanted) {
    const value = headers[header];
    if (typeof value !== 'string') return `Header mismatch: ${header} is missing`;
    const plain = isEncodable ? decodeHeader(value) : value;
    if (plain === null) return `Header mismatch: ${header} is not valid Base64`;
    if (plain !== body) return `Header mismatch: ${header} does not match the body`;
  }
  return null;
}

/** Takes the Base64 sentinel off a header value; null when what it wraps is not Base64 of UTF-8. */
export function decodeHeader(value: string): string | null {
  if (!value.startsWith('=?base64?') || !value.endsWith('?=') || value.length < 11) return value;
  const encoded = value.slice(9, -2);
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) return null;
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? text : null;
}

/** The params a legacy child understands: without the envelope and without what only the shim needs. */
export function withoutEnvelope(params: unknown, progressToken: number | null): Json | undefined {
  if (!isObject(params)) return undefined;
  const { _meta, inputResponses, requestState, ...rest } = params;
  const meta: Json = { ...(isObject(_meta) ? _meta : {}) };
  for (const key of Object.values(metaKeys)) delete meta[key];
  delete meta.progressToken;
  if (progressToken !== null) meta.progressToken = progressToken;
  return Object.keys(meta).length === 0 ? rest : { ...rest, _meta: meta };
}
