// Waits for a child that speaks HTTP to come up, and asks it who it is, in a session of the shim's own that ends at
// once. Fails with what the child said, or with the signal's reason.
import { request as httpRequest } from 'node:http';
import { sleep } from '../../base/clock.ts';
import { metaKeys, modernVersion } from './envelope.ts';
import { type Json, objectIn, stringIn } from './messages.ts';
import { ownEnvelope } from './modern.ts';
import type { InitializeResult } from './state.ts';

/** Pause between looks whether anyone listens yet, and the longest answer that is read. */
const lookAgainMs = 25;
const answerBytesMax = 4 * 1024 * 1024;

interface Answered {
  readonly status: number;
  readonly sessionId: string | undefined;
  readonly message: Json;
}

/** Opens a child on that port of the loopback interface. @returns what it said of itself */
export async function openHttp(
  port: number,
  isModern: boolean,
  signal: AbortSignal,
): Promise<InitializeResult> {
  const _meta = ownEnvelope();
  const clientInfo = _meta[metaKeys.client];
  const first = isModern
    ? { method: 'server/discover', params: { _meta } }
    : { method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo } };
  const answer = await untilAnswered(port, first, signal);
  const result = objectIn(answer.message, 'result');
  if (result === undefined) {
    const said = stringIn(answer.message.error, 'message') ?? `status ${answer.status}`;
    throw new Error(`${first.method}: ${said}`);
  }
  const headers = answer.sessionId === undefined ? {} : { 'Mcp-Session-Id': answer.sessionId };
  if (!isModern) await send(port, 'POST', { method: 'notifications/initialized' }, headers, signal);
  const list = { id: 2, method: 'tools/list', params: isModern ? { _meta } : {} };
  if (objectIn(result, 'capabilities')?.tools !== undefined) await send(port, 'POST', list, headers, signal);
  if (answer.sessionId !== undefined) await send(port, 'DELETE', null, headers, signal);
  const server = objectIn(result, 'serverInfo') ?? objectIn(objectIn(result, '_meta'), metaKeys.server) ?? {};
  return {
    protocolVersion: isModern ? modernVersion : (stringIn(result, 'protocolVersion') ?? ''),
    capabilities: objectIn(result, 'capabilities') ?? {},
    serverInfo: {
      ...server,
      name: stringIn(server, 'name') ?? '',
      version: stringIn(server, 'version') ?? '',
    },
  };
}

async function untilAnswered(port: number, message: Json, signal: AbortSignal): Promise<Answered> {
  for (;;) {
    try {
      return await send(port, 'POST', { ...message, id: 1 }, {}, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ECONNREFUSED' && code !== 'ECONNRESET') throw error;
      await sleep(lookAgainMs, signal);
    }
  }
}

function send(
  port: number,
  method: string,
  message: Json | null,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const params = message?.params as Json | undefined;
    const isModern = objectIn(params, '_meta') !== undefined;
    const own = isModern
      ? { 'MCP-Protocol-Version': modernVersion, 'Mcp-Method': String(message?.method) }
      : {};
    const outgoing = httpRequest({
      host: '127.0.0.1',
      port,
      path: '/mcp',
      method,
      agent: false,
      signal,
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json, text/event-stream',
        ...own,
        ...headers,
      },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('error', reject);
      incoming.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > answerBytesMax) incoming.destroy(new Error('its answer is too long'));
      });
      incoming.on('end', () => {
        const { statusCode: status = 0, headers: given } = incoming;
        resolve({ status, sessionId: stringIn(given, 'mcp-session-id'), message: messageIn(text) });
      });
    });
    outgoing.end(message === null ? undefined : JSON.stringify({ jsonrpc: '2.0', ...message }));
  });
}

/** The answer in a body of JSON or of events; an empty object when there is none. */
function messageIn(text: string): Json {
  const documents = text.startsWith('{')
    ? [text]
    : [...text.matchAll(/^data: ?(.+)$/gm)].map((match) => match[1] ?? '');
  for (const document of documents) {
    try {
      const message = JSON.parse(document) as Json;
      if (message.result !== undefined || message.error !== undefined) return message;
    } catch {
      // Not the answer.
    }
  }
  return {};
}
