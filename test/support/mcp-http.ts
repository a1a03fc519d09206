// A plain HTTP client of an MCP endpoint, for tests that must see status codes, headers and single events, and must
// send what no decent client would.
import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The messages of the answer, from JSON or from its events. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON-RPC as it came
  readonly messages: any[];
}

export interface SseEvent {
  readonly id: string | undefined;
  readonly data: string;
}

export interface Stream extends AsyncDisposable {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly events: SseEvent[];
  /** Resolves with the first event's message for which `test` holds, past or to come. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON-RPC as it came
  message(test: (message: any) => boolean): Promise<any>;
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

export interface Endpoint {
  readonly url: string;
  readonly token: string;
}

const headersOf = ({ token }: Endpoint): Record<string, string> => ({
  Authorization: `Bearer ${token}`,
  'Content-Type': 'application/json',
  Accept: 'application/json, text/event-stream',
});

/** Sends a request and returns its answer once the headers have come. */
export function open(
  endpoint: Endpoint,
  method: string,
  body: string | Buffer | null,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = { method, headers: { ...headersOf(endpoint), ...headers }, agent: false };
    const outgoing = request(endpoint.url, options, resolve);
    outgoing.on('error', reject);
    if (body === null) outgoing.end();
    else outgoing.end(body);
  });
}

/** Posts a body and reads the whole answer. */
export async function post(
  endpoint: Endpoint,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return readAnswer(await open(endpoint, 'POST', bytes, headers));
}

/** Reads an answer to its end. */
export async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  const { headers, statusCode: status = 0 } = incoming;
  const isSse = headers['content-type']?.startsWith('text/event-stream') === true;
  const documents = isSse ? eventsOf(text).map((event) => event.data) : [text];
  const messages = documents.filter((document) => document !== '').map((document) => JSON.parse(document));
  return { status, headers, text, messages };
}

function eventsOf(text: string): SseEvent[] {
  return text.split('\n\n').flatMap((block) => {
    const lines = block.split('\n');
    const field = (name: string): string | undefined =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    return lines.some((line) => line.startsWith('data:'))
      ? [{ id: field('id'), data: field('data') ?? '' }]
      : [];
  });
}

/** Reads an answer as a stream of events. */
export function streamOf(incoming: IncomingMessage): Stream {
  const events: SseEvent[] = [];
  const looks = new Set<() => void>();
  let held = '';
  const ended = new Promise<void>((resolve) => incoming.once('close', resolve));
  incoming.setEncoding('utf8');
  incoming.on('error', () => {});
  incoming.on('data', (chunk: string) => {
    held += chunk;
    const end = held.lastIndexOf('\n\n');
    if (end === -1) return;
    events.push(...eventsOf(held.slice(0, end)));
    held = held.slice(end + 2);
    for (const look of looks) look();
  });
  const close = (): void => void incoming.destroy();
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    events,
    ended,
    close,
    [Symbol.asyncDispose]: async () => close(),
    message: (test) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          for (const { data } of events) {
            const message = data === '' ? undefined : JSON.parse(data);
            if (message === undefined || !test(message)) continue;
            looks.delete(look);
            resolve(message);
            return;
          }
        };
        looks.add(look);
        void ended.then(() => reject(new Error(`the stream ended; it said ${JSON.stringify(events)}`)));
        look();
      }),
  };
}

/** A legacy client: a session and its requests. */
export interface LegacyClient extends Endpoint {
  readonly sessionId: string;
  readonly headers: Record<string, string>;
  /** The answer to its initialize. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON-RPC as it came
  readonly initialized: any;
  request(method: string, params?: object, id?: string | number): Promise<Answer>;
  call(name: string, given?: object, meta?: object): Promise<Answer>;
  notify(method: string, params?: object): Promise<Answer>;
  /** Opens the session's own stream. */
  listen(lastEventId?: string): Promise<Stream>;
  /** Posts a request and reads the answer as a stream. */
  stream(message: object): Promise<Stream>;
}

let nextId = 1;

/** Makes a session. */
export async function connectLegacy(
  endpoint: Endpoint,
  capabilities: object = {},
  protocolVersion = '2025-11-25',
): Promise<LegacyClient> {
  const params = { protocolVersion, capabilities, clientInfo: { name: 'test', version: '1' } };
  const answer = await post(endpoint, { jsonrpc: '2.0', id: 0, method: 'initialize', params });
  const sessionId = String(answer.headers['mcp-session-id']);
  if (answer.status !== 200) throw new Error(`initialize was answered ${answer.status} ${answer.text}`);
  const headers = { 'Mcp-Session-Id': sessionId, 'MCP-Protocol-Version': protocolVersion };
  const client: LegacyClient = {
    ...endpoint,
    sessionId,
    headers,
    initialized: answer.messages[0],
    request: (method, parameters, id = nextId++) =>
      post(endpoint, { jsonrpc: '2.0', id, method, params: parameters }, headers),
    call: (name, given = {}, meta) =>
      client.request('tools/call', { name, arguments: given, ...(meta && { _meta: meta }) }),
    notify: (method, parameters) => post(endpoint, { jsonrpc: '2.0', method, params: parameters }, headers),
    listen: async (lastEventId) => {
      const resumed = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
      return streamOf(await open(endpoint, 'GET', null, { ...headers, ...resumed }));
    },
    stream: async (message) => streamOf(await open(endpoint, 'POST', JSON.stringify(message), headers)),
  };
  await client.notify('notifications/initialized');
  return client;
}

/** The text of a tool's answer. */
export function toolText(answer: Answer): string {
  return answer.messages.at(-1)?.result?.content?.[0]?.text;
}
