// Children that speak HTTP themselves, on a private loopback port: requests that passed the door are forwarded without
// the token, answers are streamed back. When the child dies in the middle, its callers get a JSON-RPC error.
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { monotonicMs } from '../../base/clock.ts';
import { answerJson, codes, errorText, isOpen, refuse } from './answers.ts';
import { readBody } from './body.ts';
import { addCall, removeCall } from './calls.ts';
import { readDocument } from './document.ts';
import { hold } from './hold.ts';
import { isId, type Json, stringIn } from './messages.ts';
import { ownId } from './server-requests.ts';
import type { Core, Taker } from './state.ts';
import { eventText } from './streams.ts';

/** Headers that concern one connection only, name the wrong host, or are ours to give. */
const withheld = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'origin',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export interface HttpChild {
  /** Sends a request that passed the door on to the child. */
  forward(request: IncomingMessage, response: ServerResponse): void;
  /** Ends all connections to the child. */
  close(): void;
}

/** Makes the way to a child on `port` of the loopback interface. */
export function createHttpChild(core: Core, port: number): HttpChild {
  const agent = new Agent({ keepAlive: true, maxSockets: core.bounds.inFlightMax + core.bounds.sessionsMax });
  const send = (request: IncomingMessage, body: Buffer | null): ClientRequest => {
    const outgoing = httpRequest({
      agent,
      host: '127.0.0.1',
      port,
      path: '/mcp',
      method: request.method ?? 'POST',
      headers: [
        ...headersFor(request, `127.0.0.1:${port}`),
        ...(body === null ? [] : ['Content-Length', String(body.length)]),
      ],
    });
    outgoing.end(body ?? undefined);
    return outgoing;
  };
  return {
    forward(request, response) {
      if (core.server === null) {
        const waitMs = core.spec.child.startTimeoutMs;
        const go = (): void => this.forward(request, response);
        const reason = 'The server is not ready';
        return void hold({ core, queue: core.awaitingServer, response, idText: 'null', waitMs, reason, go });
      }
      if (request.method !== 'POST') {
        const outgoing = send(request, null);
        return void relay({ core, outgoing, response, idText: 'null', isCall: false });
      }
      readBody(core, request, response, (body) => {
        const idText = idOf(core, body);
        if (idText === null) {
          const message = 'The body is not valid JSON';
          return void refuse(response, { status: 400, code: codes.parse, message });
        }
        core.requests += 1;
        if (core.calls.size >= core.bounds.inFlightMax) {
          const message = `${core.bounds.inFlightMax} requests are in flight already`;
          return void refuse(response, { status: 503, code: codes.refused, idText, message, retryAfterS: 1 });
        }
        relay({ core, outgoing: send(request, body), response, idText, isCall: true });
      });
    },
    close() {
      agent.destroy();
    },
  };
}

function headersFor(request: IncomingMessage, host: string): string[] {
  const headers = ['Host', host];
  const { rawHeaders } = request;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (!withheld.has(name.toLowerCase())) headers.push(name, rawHeaders[at + 1] as string);
  }
  return headers;
}

/** The id of a request as JSON text, `null` of anything else that is JSON, null of what is not. */
function idOf(core: Core, body: Buffer): string | null {
  const document = readDocument(body, core.bounds.jsonDepthMax);
  if (typeof document === 'string') return null;
  const { id, method } = (document.value ?? {}) as Json;
  return isId(id) && typeof method === 'string' ? JSON.stringify(id) : 'null';
}

interface Relay {
  readonly core: Core;
  readonly outgoing: ClientRequest;
  readonly response: ServerResponse;
  readonly idText: string;
  /** It makes the instance busy, and may not take for ever. */
  readonly isCall: boolean;
}

/** Streams the child's answer to the client, as fast as the client reads. */
function relay({ core, outgoing, response, idText, isCall }: Relay): void {
  let isEvents = false;
  const fail = (message: string): void => {
    finish();
    outgoing.destroy();
    if (!isOpen(response)) return;
    const text = errorText(idText, codes.internal, message);
    if (!response.headersSent) answerJson(response, idText === 'null' ? 502 : 200, text);
    else if (isEvents && idText !== 'null') response.end(eventText(text));
    else response.destroy();
  };
  const taker: Taker = {
    answer: (_, { value }) => fail(stringIn((value as Json).error, 'message') ?? ''),
    notify: () => {},
    ask: () => false,
    isParked: () => false,
  };
  const made = { idText: ownId, method: '', session: null, response: null, taker };
  const call = isCall ? addCall(core, made) : null;
  const finish = (): void => {
    if (call !== null) removeCall(core, call);
  };
  outgoing.on('error', (error) => fail(`The server did not answer: ${error.message}`));
  outgoing.on('response', (answer) => {
    isEvents = answer.headers['content-type']?.startsWith('text/event-stream') === true;
    answer.on('error', (error) => fail(`The server did not finish its answer: ${error.message}`));
    answer.on('data', () => {
      if (call !== null) call.touchedMs = monotonicMs();
    });
    answer.on('end', () => {
      finish();
      response.end();
    });
    if (!isOpen(response)) return void outgoing.destroy();
    response.writeHead(answer.statusCode ?? 502, answerHeaders(answer));
    response.flushHeaders();
    answer.pipe(response, { end: false });
  });
  response.on('close', () => {
    finish();
    outgoing.destroy();
  });
}

function answerHeaders(answer: IncomingMessage): string[] {
  const headers: string[] = [];
  const { rawHeaders } = answer;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    if (withheld.has(name) && name !== 'content-length') continue;
    // Which origins are served is the door's to say.
    if (!name.startsWith('access-control-'))
      headers.push(rawHeaders[at] as string, rawHeaders[at + 1] as string);
  }
  return headers;
}
