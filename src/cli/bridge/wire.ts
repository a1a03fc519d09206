// HTTP to one instance. A request is made again while nothing of it can have arrived: an instance that restarts or wakes
// costs a wait, not an error. What may have been done once is never sent twice.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { monotonicMs, sleep } from '../../base/clock.ts';
import { isObject, Refusal } from './messages.ts';

/** What is known of the instance where its URL does not answer. */
export interface Whereabouts {
  readonly url: string;
  /** Why waiting is of no use, or null. */
  readonly ended: Refusal | null;
}

export interface WireOptions {
  /** How people call the instance. */
  readonly name: string;
  readonly url: string;
  readonly token: string;
  /** Asks the daemon, if there is one; undefined when nobody knows. */
  readonly ask: () => Promise<Whereabouts | undefined>;
  /** Default 45 s. */
  readonly waitMsMax?: number;
}

export interface WireRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** To do it twice is the same as once. */
  readonly isRepeatable?: boolean;
  readonly signal: AbortSignal;
  /** Do not wait for an instance that does not answer. */
  readonly isImpatient?: boolean;
}

export interface Wire {
  readonly name: string;
  /** @throws Refusal when nothing answers, or the connection broke with the request under way */
  send(request: WireRequest): Promise<IncomingMessage>;
  close(): void;
}

const answerCharsMax = 16 * 1_024 * 1_024;
const firstPauseMs = 100;
const pauseMsMax = 2_000;

/** How long a door that has never asked for a body may take to do so before it is sent unasked. */
const continueMsMax = 2_000;

/** A request that got no answer. */
class Broken extends Error {
  /** Whether the server may have all of it. */
  readonly isSent: boolean;

  constructor(cause: NodeJS.ErrnoException, isSent: boolean) {
    super(cause.code ?? cause.message, { cause });
    this.name = 'Broken';
    this.isSent = isSent;
  }
}

export function createWire({ name, url: firstUrl, token, ask, waitMsMax = 45_000 }: WireOptions): Wire {
  let url = firstUrl;
  let hasAsked = false;
  const isTls = url.startsWith('https:');
  const agent = isTls ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });

  const once = ({ method, headers, body, signal }: WireRequest): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const bodyHeaders =
        body === undefined ? {} : { expect: '100-continue', 'content-length': Buffer.byteLength(body) };
      const sent = (isTls ? httpsRequest : httpRequest)(url, {
        ...{ method, agent, signal },
        headers: { ...headers, ...bodyHeaders, authorization: `Bearer ${token}` },
      });
      let isSent = false;
      const sendBody = (): void => {
        clearTimeout(timer);
        isSent = true;
        sent.end(body);
      };
      // The door says when it takes the body: what breaks before that has not arrived, whatever it was. A proxy in between
      // may never say so; a door that has, does, however long it is kept from it.
      const timer = body === undefined || hasAsked ? undefined : setTimeout(sendBody, continueMsMax);
      sent.once('continue', () => {
        hasAsked = true;
        sendBody();
      });
      sent.once('error', (error) => {
        clearTimeout(timer);
        reject(new Broken(error, isSent));
      });
      sent.once('response', (response) => {
        clearTimeout(timer);
        // Whoever reads it is told by the iteration; without this a break in between would end the process.
        response.on('error', () => {});
        if (body !== undefined && !isSent) response.once('close', () => sent.destroy());
        resolve(response);
      });
      if (body === undefined) sent.end();
      else sent.flushHeaders();
    });

  return {
    name,
    close: () => agent.destroy(),
    async send(request) {
      const endMs = monotonicMs() + (request.isImpatient === true ? 0 : waitMsMax);
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
        const isLast = monotonicMs() >= endMs;
        const response = await once(request).catch((error: Broken) => error);
        request.signal.throwIfAborted();
        if (!(response instanceof Broken)) {
          // The door says 503 before anything goes on to the server.
          if (response.statusCode !== 503 || isLast) return response;
          response.resume();
          pauseMs = Math.max(pauseMs, Math.min(Number(response.headers['retry-after'] ?? 0), 5) * 1_000);
        } else {
          if (response.isSent && request.isRepeatable !== true) throw lost(name);
          const known = request.isImpatient === true ? undefined : await ask();
          if (known?.ended) throw known.ended;
          if (isLast) throw unreachable(name, url, response.message);
          url = known?.url ?? url;
        }
        await sleep(pauseMs, request.signal);
      }
    },
  };
}

/** The connection broke, and nobody knows how far the server had come. */
export function lost(name: string): Refusal {
  return new Refusal(
    `The connection to ${name} broke before it answered. It may have been done: look before you try again.`,
  );
}

function unreachable(name: string, url: string, why: string): Refusal {
  return new Refusal(
    `Nothing answers at ${url} (${why}). "minimcp show ${name}" says how the instance is; "minimcp restore ${name}" ` +
      `starts one that is stopped, "minimcp renew ${name}" one whose lease is over.`,
  );
}

/** The whole of an answer's body. */
export async function textOf(response: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of response) {
    sizeBytes += part.length;
    if (sizeBytes > answerCharsMax) throw new Refusal('The answer is larger than 16 MiB');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Why the instance refused, in its own words where it has some. */
export async function refusalOf(response: IncomingMessage, name: string): Promise<Refusal> {
  const { statusCode = 0 } = response;
  const error = errorIn(await textOf(response).catch(() => ''));
  const said = typeof error?.message === 'string' ? error.message : `The instance answered ${statusCode}`;
  const code = typeof error?.code === 'number' ? { code: error.code } : {};
  if (statusCode !== 401) return new Refusal(said, { ...code, data: error?.data });
  return new Refusal(
    `${said}. The token this bridge has is not good any more: "minimcp token ${name}" makes a new one, ` +
      'to be put into MINIMCP_ACCESS_TOKEN where this client is configured.',
    code,
  );
}

function errorIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && isObject(value.error) ? value.error : undefined;
  } catch {
    return undefined;
  }
}
