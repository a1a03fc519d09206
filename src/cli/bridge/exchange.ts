// One message to the instance and everything that comes back for it: a JSON answer, or a stream of messages with the
// answer last. A legacy stream that breaks is taken up again where it broke.
import type { IncomingMessage } from 'node:http';
import { sleep } from '../../base/clock.ts';
import { readEvents } from '../sse.ts';
import { answers, isRequest, type Message, messageOf } from './messages.ts';
import { lost, refusalOf, textOf, type Wire } from './wire.ts';

export interface Exchange {
  readonly wire: Wire;
  readonly message: Message;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Takes what comes back. Resolves when it may come faster no more. */
  readonly deliver: (message: Message, text: string) => Promise<void>;
  readonly signal: AbortSignal;
}

/** How often one answer's stream is taken up again, and how long after a break. */
const resumptionsMax = 20;
const resumeMs = 250;

/** Methods that may be sent twice: they only look. */
const looking =
  /^(initialize|ping|server\/discover|tools\/list|prompts\/(list|get)|resources\/(list|read|templates\/list)|completion\/complete|logging\/setLevel|resources\/(un)?subscribe)$/;

/**
 * Sends a message and delivers what comes back until it is answered.
 * @returns the response's head, or 'gone' when the session it was sent in is not known any more
 * @throws Refusal
 */
export async function exchange(options: Exchange): Promise<IncomingMessage | 'gone'> {
  const { wire, message, text, headers, signal } = options;
  const response = await wire.send({
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: text,
    isRepeatable: looking.test(message.method ?? ''),
    signal,
  });
  const { statusCode = 0 } = response;
  if (statusCode === 404 && headers['mcp-session-id'] !== undefined) {
    response.resume();
    return 'gone';
  }
  if (statusCode < 200 || statusCode > 299) throw await refusalOf(response, wire.name);
  if (!isRequest(message)) response.resume();
  else await takeAnswer(options, response);
  return response;
}

async function takeAnswer(options: Exchange, response: IncomingMessage): Promise<void> {
  const { message, deliver, signal } = options;
  const isStream = /^text\/event-stream\b/i.test(response.headers['content-type'] ?? '');
  if (!isStream) {
    const text = await textOf(response).catch(() => Promise.reject(lost(options.wire.name)));
    const found = parse(text);
    if (found === undefined || !answers(found, message.id)) throw lost(options.wire.name);
    return deliver(found, text);
  }
  let isAnswered = false;
  const take = async (found: Message, text: string): Promise<void> => {
    isAnswered ||= answers(found, message.id);
    await deliver(found, text);
  };
  let lastId = await takeEvents(response, take, '');
  // Only a session's streams have ids, and can be taken up again.
  const isResumable = options.headers['mcp-session-id'] !== undefined;
  for (let tries = 0; !isAnswered && lastId !== '' && isResumable && tries < resumptionsMax; tries += 1) {
    if (tries > 0) await sleep(resumeMs, signal);
    const again = await openStream(options, lastId, false);
    if (again.statusCode !== 200) {
      again.resume();
      break;
    }
    const before = lastId;
    lastId = await takeEvents(again, take, lastId);
    // The stream is over, and the answer was not on it.
    if (lastId === before && again.complete) break;
  }
  signal.throwIfAborted();
  if (!isAnswered) throw lost(options.wire.name);
}

/** GET: a session's own stream, or one taken up again after an event. */
export function openStream(
  { wire, headers, signal }: Pick<Exchange, 'wire' | 'headers' | 'signal'>,
  lastId: string,
  isImpatient: boolean,
): Promise<IncomingMessage> {
  return wire.send({
    method: 'GET',
    headers: {
      ...headers,
      accept: 'text/event-stream',
      ...(lastId === '' ? {} : { 'last-event-id': lastId }),
    },
    isRepeatable: true,
    isImpatient,
    signal,
  });
}

/** Delivers the messages of a stream until it ends or breaks. @returns the id of the last event */
export async function takeEvents(
  response: IncomingMessage,
  deliver: Exchange['deliver'],
  firstId: string,
): Promise<string> {
  let lastId = firstId;
  const events = readEvents(response);
  for (;;) {
    const next = await events.next().catch(() => ({ done: true, value: undefined }) as const);
    if (next.done === true) return lastId;
    if (next.value.id !== '') lastId = next.value.id;
    const message = parse(next.value.data);
    if (message !== undefined) await deliver(message, next.value.data);
  }
}

function parse(text: string): Message | undefined {
  try {
    return messageOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}
