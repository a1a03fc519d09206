// An MCP server on standard input and output in front of an instance's URL, for clients that take nothing else. It needs
// the URL and the access token, and neither the supervisor nor the database. Nothing but JSON-RPC goes to its output.
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { sleep } from '../../base/clock.ts';
import { messageOf as wordsOf } from '../../base/errors.ts';
import { exchange } from './exchange.ts';
import { lineBytesMax, readLines } from './lines.ts';
import { codes, errorAnswer, isRequest, type Message, messageOf, Refusal } from './messages.ts';
import { createModernHeaders, versionOf } from './modern.ts';
import { createSession } from './session.ts';
import type { Wire } from './wire.ts';

export interface BridgeOptions {
  readonly wire: Wire;
  readonly input: Readable;
  readonly output: NodeJS.WritableStream;
  /** Says something to people. */
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

const inFlightMax = 256;
/** How long answers that are still to come, and the end of the session, may take once the input has ended. */
const lingerMs = 1_000;

/** Serves until the input ends or the signal aborts. */
export async function runBridge({ wire, input, output, note, signal }: BridgeOptions): Promise<void> {
  const closing = new AbortController();
  const running = new Map<string, { readonly abort: AbortController; readonly isModern: boolean }>();
  const served = new Set<Promise<void>>();
  const headers = createModernHeaders();
  let modernVersion: string | undefined;

  const write = async (text: string): Promise<void> => {
    // A raw line break can only stand between tokens: in strings JSON escapes it.
    if (!output.write(`${text.replaceAll(/[\r\n]+/g, ' ')}\n`)) await once(output, 'drain');
  };
  const deliver = (_: Message, text: string): Promise<void> => write(text);
  const session = createSession({ wire, deliver, note, closing: closing.signal });

  const sendModern = async (message: Message, text: string, abort: AbortSignal): Promise<void> => {
    const version = versionOf(message) ?? modernVersion ?? '';
    modernVersion = version;
    const take = (found: Message, foundText: string): Promise<void> => {
      if (message.method === 'tools/list') headers.learn(found);
      return write(foundText);
    };
    await exchange({
      wire,
      message,
      text,
      headers: headers.of(message, version),
      deliver: take,
      signal: abort,
    });
  };

  const serve = async (message: Message & { id: string | number }, text: string): Promise<void> => {
    const key = JSON.stringify(message.id);
    if (running.size >= inFlightMax || running.has(key)) {
      const why = running.has(key)
        ? `The id ${key} is in use`
        : `${inFlightMax} requests are in flight already`;
      return write(errorAnswer(message.id, new Refusal(why)));
    }
    const isModern = versionOf(message) !== undefined;
    const send = isModern ? sendModern : session.send;
    const abort = new AbortController();
    running.set(key, { abort, isModern });
    const end = AbortSignal.any([abort.signal, closing.signal]);
    try {
      await send(message, text, end);
    } catch (error) {
      // Cancelled, or nobody reads any more.
      if (!end.aborted) await write(errorAnswer(message.id, refusalFor(error)));
    } finally {
      running.delete(key);
    }
  };

  const pass = async (message: Message, text: string): Promise<void> => {
    const cancelled = message.method === 'notifications/cancelled' ? message.params?.requestId : undefined;
    const request = running.get(JSON.stringify(cancelled) ?? '');
    // Over HTTP a modern request is cancelled by letting go of it.
    if (request?.isModern === true) return request.abort.abort();
    try {
      const isModern = versionOf(message) !== undefined || modernVersion !== undefined;
      await (isModern ? sendModern : session.send)(message, text, closing.signal);
      // The instance has been told; what it still answers nobody waits for.
      request?.abort.abort();
    } catch (error) {
      note(`${message.method ?? 'an answer'} was not taken: ${wordsOf(error)}`);
    }
  };

  const take = async (line: string | null): Promise<void> => {
    if (line === null) return void note(`a line of more than ${lineBytesMax} bytes was thrown away`);
    const value = parse(line);
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const message = messageOf(item);
      const text = Array.isArray(value) ? JSON.stringify(item) : line;
      if (message === undefined) {
        const [code, why] =
          value === undefined
            ? ([codes.parse, 'The line is not JSON'] as const)
            : ([codes.invalidRequest, 'The line is no JSON-RPC message'] as const);
        await write(errorAnswer(null, new Refusal(why, { code })));
      } else if (isRequest(message)) {
        const work = serve(message, text).finally(() => served.delete(work));
        served.add(work);
      } else await pass(message, text);
    }
  };

  const read = async (): Promise<void> => {
    for await (const line of readLines(input)) await take(line);
  };
  try {
    await Promise.race([read(), whenAborted(signal, closing.signal)]);
    await Promise.race([Promise.all(served), sleep(lingerMs, signal).catch(() => undefined)]);
  } finally {
    await session.end(AbortSignal.timeout(lingerMs)).catch(() => undefined);
    closing.abort();
    input.destroy();
    wire.close();
  }
}

async function whenAborted(signal: AbortSignal, closing: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort', { signal: closing }).catch(() => undefined);
}

function refusalFor(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal(wordsOf(error));
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
