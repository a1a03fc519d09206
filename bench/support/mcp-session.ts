// The lightest client of a bridge there is, so that what is measured is the bridge: node:http, connections kept, bodies
// put together from ready-made pieces. It checks each answer for the echoed text, nothing else; a wrong one fails the
// run. Speaks Streamable HTTP, and HTTP+SSE for the bridge that has only that.
import { Agent, type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { monotonicMs } from '../../src/base/clock.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly transport: 'http' | 'sse';
  /** The name under which the bridge shows the tool `echo`. */
  readonly tool: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Session {
  /** What the answer to initialize took, milliseconds. */
  readonly initializeMs: number;
  /** One call of `echo` with 32 bytes. */
  call(): Promise<void>;
  /** Leaves politely. */
  end(): Promise<void>;
  /** Opens the stream a client listens on, if it has one of its own. */
  listen(): Promise<void>;
  /** Is gone, without a word. */
  vanish(): void;
}

const message = '0123456789abcdef0123456789abcdef';
/** Every answer of `echo` holds it. */
const echoed = `Echo: ${message}`;
const protocolVersion = '2025-11-25';
const clientInfo = { name: 'bench', version: '1.0.0' };
const initializeBody = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo },
});
const initializedBody = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
/** Ids of calls have seven digits, so that all bodies are of one length. */
const firstId = 1_000_000;

/** Connects and initializes. Rejects with the system's error when nobody listens. */
export function openSession(target: Target): Promise<Session> {
  return target.transport === 'sse' ? openSse(target) : openHttp(target);
}

function callBody(target: Target): { before: string; after: string; sizeBytes: number } {
  const before = '{"jsonrpc":"2.0","id":';
  const after = `,"method":"tools/call","params":{"name":"${target.tool}","arguments":{"message":"${message}"}}}`;
  return { before, after, sizeBytes: before.length + String(firstId).length + after.length };
}

async function openHttp(target: Target): Promise<Session> {
  const { host, port, path } = target;
  const agent = new Agent({ keepAlive: true });
  let gone = false;
  const isGone = (): boolean => gone;
  const usual = { ...target.headers, Accept: 'application/json, text/event-stream' };
  const posting = { ...usual, 'Content-Type': 'application/json' };
  const post = (body: string, headers: Record<string, string>): Promise<Answer> =>
    exchange({ host, port, path, method: 'POST', agent, headers }, body, isGone);
  const startMs = monotonicMs();
  try {
    const first = await post(initializeBody, { ...posting, 'Content-Length': String(initializeBody.length) });
    const id = first.headers['mcp-session-id'];
    if (first.status !== 200 || !first.text.includes('serverInfo') || typeof id !== 'string')
      throw new Error(`initialize was answered ${first.status}: ${first.text.slice(0, 200)}`);
    const initializeMs = monotonicMs() - startMs;
    const own = { 'Mcp-Session-Id': id, 'MCP-Protocol-Version': protocolVersion };
    await post(initializedBody, { ...posting, ...own, 'Content-Length': String(initializedBody.length) });
    const { before, after, sizeBytes } = callBody(target);
    const calling = { ...posting, ...own, 'Content-Length': String(sizeBytes) };
    let nextId = firstId;
    return {
      initializeMs,
      async call() {
        const answer = await post(before + nextId++ + after, calling);
        if (answer.status !== 200 || !answer.text.includes(echoed)) throw wrong(answer);
      },
      async end() {
        const headers = { ...usual, ...own };
        await exchange({ host, port, path, method: 'DELETE', agent, headers }, undefined, isGone);
        gone = true;
        agent.destroy();
      },
      async listen() {
        const headers = { ...usual, ...own, Accept: 'text/event-stream' };
        const { stream } = await open({ host, port, path, method: 'GET', agent, headers });
        stream.resume();
      },
      vanish() {
        gone = true;
        agent.destroy();
      },
    };
  } catch (error) {
    agent.destroy();
    throw error;
  }
}

/** 2024-11-05: answers come on the one stream, posts go to the address it names. */
async function openSse(target: Target): Promise<Session> {
  const { host, port, path } = target;
  const agent = new Agent({ keepAlive: true });
  const listening = new Agent({ keepAlive: true });
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let address: ((path: string) => void) | undefined;
  const posting = new Promise<string>((resolve) => {
    address = resolve;
  });
  let gone = false;
  const headers = { ...target.headers, Accept: 'text/event-stream' };
  const startMs = monotonicMs();
  const { stream, sent } = await open({ host, port, path, method: 'GET', agent: listening, headers });
  if (stream.statusCode !== 200) throw new Error(`the stream was answered ${stream.statusCode}`);
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data: /')) address?.(line.slice(6));
      const id = Number(/"id":(\d+)/.exec(line)?.[1] ?? -1);
      const call = waiting.get(id);
      if (call === undefined) continue;
      waiting.delete(id);
      if (id < firstId || line.includes(echoed)) call.resolve();
      else call.reject(new Error(`a call was answered ${line.slice(0, 200)}`));
    }
  });
  stream.on('error', () => {});
  const to = await posting;
  const send = async (body: string): Promise<void> => {
    const answer = await exchange(
      {
        ...{ host, port, path: to, method: 'POST', agent },
        headers: {
          ...target.headers,
          'Content-Type': 'application/json',
          'Content-Length': String(body.length),
        },
      },
      body,
      () => gone,
    );
    if (answer.status !== 202) throw wrong(answer);
  };
  const ask = (id: number, body: string): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      send(body).catch(reject);
    });
  await ask(1, initializeBody);
  const initializeMs = monotonicMs() - startMs;
  await send(initializedBody);
  const { before, after } = callBody(target);
  let nextId = firstId;
  const vanish = (): void => {
    gone = true;
    sent.destroy();
    listening.destroy();
    agent.destroy();
  };
  return {
    initializeMs,
    call() {
      const id = nextId++;
      return ask(id, before + id + after);
    },
    end: async () => vanish(),
    listen: async () => {},
    vanish,
  };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

function wrong({ status, text }: Answer): Error {
  return new Error(`a call was answered ${status}: ${text.slice(0, 200)}`);
}

function exchange(options: RequestOptions, body: string | undefined, isGone: () => boolean): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
      response.on('error', reject);
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // The server closed an idle connection just as it was taken again: every client tries once more then.
      // Not one that has vanished: it would be back.
      if (sent.reusedSocket && error.code === 'ECONNRESET' && !isGone()) {
        exchange(options, body, isGone).then(resolve, reject);
        return;
      }
      reject(error);
    });
    sent.end(body);
  });
}

function open(options: RequestOptions): Promise<{ stream: IncomingMessage; sent: ClientRequest }> {
  return new Promise((resolve, reject) => {
    const sent = request(options, (stream) => {
      stream.on('error', () => {});
      resolve({ stream, sent });
    });
    sent.on('error', reject);
    sent.end();
  });
}
