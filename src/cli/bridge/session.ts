// The legacy era on the instance's side: one session, renewed behind the client's back when the instance no longer knows
// it, with what the client had set in the old one; and the session's own stream, kept open while there is one.
import { sleep } from '../../base/clock.ts';
import { exchange, openStream, takeEvents } from './exchange.ts';
import { answers, isObject, type Message, Refusal } from './messages.ts';
import type { Wire } from './wire.ts';

export interface Session {
  /** Sends a message of the client and delivers what comes back. @throws Refusal */
  send(message: Message, text: string, signal: AbortSignal): Promise<void>;
  /** Ends the session, within the signal's time. */
  end(signal: AbortSignal): Promise<void>;
}

export interface SessionOptions {
  readonly wire: Wire;
  readonly deliver: (message: Message, text: string) => Promise<void>;
  readonly note: (text: string) => void;
  /** Aborts when the bridge ends. */
  readonly closing: AbortSignal;
}

const ownId = 'minimcp-bridge';
const listenAgainMs = 250;
const listenAgainMsMax = 5_000;
const subscriptionsMax = 1_000;

export function createSession({ wire, deliver, note, closing }: SessionOptions): Session {
  let opening: string | undefined;
  let id: string | undefined;
  let version: string | undefined;
  let isReady = false;
  let renewal: Promise<void> | undefined;
  let listening: AbortController | undefined;
  /** What the client has set in its session, by what it is about, to be set again in the next. */
  const settings = new Map<string, string>();

  const headersOf = ({ method }: Message): Record<string, string> =>
    method === 'initialize' ? {} : headers();
  const headers = (): Record<string, string> => ({
    ...(id === undefined ? {} : { 'mcp-session-id': id }),
    ...(version === undefined ? {} : { 'mcp-protocol-version': version }),
  });

  /** Sends without delivering what comes back; what the answer was, if there was one. */
  const quietly = async (text: string, signal: AbortSignal): Promise<Message | undefined> => {
    const message = JSON.parse(text) as Message;
    let answer: Message | undefined;
    const keep = async (found: Message): Promise<void> => {
      if (answers(found, message.id)) answer = found;
    };
    const response = await exchange({
      wire,
      message,
      text,
      headers: headersOf(message),
      deliver: keep,
      signal,
    });
    if (message.method !== 'initialize' || response === 'gone') return answer;
    adopt(response.headers['mcp-session-id'], answer);
    return answer;
  };

  const adopt = (given: string | string[] | undefined, answer: Message | undefined): void => {
    id = typeof given === 'string' ? given : undefined;
    const named = isObject(answer?.result) ? answer.result.protocolVersion : undefined;
    version = typeof named === 'string' ? named : undefined;
  };

  const open = async (): Promise<void> => {
    if (opening === undefined) throw new Refusal('There is no session: call initialize first');
    stopListening();
    const { params } = JSON.parse(opening) as Message;
    const again = JSON.stringify({ jsonrpc: '2.0', id: ownId, method: 'initialize', params });
    const answer = await quietly(again, closing);
    if (answer?.result === undefined) throw new Refusal('The instance refused a new session');
    await quietly(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }), closing);
    for (const text of settings.values()) await quietly(text, closing).catch(() => undefined);
    note('the instance has lost the session; a new one was opened');
    listen();
  };
  const renew = (lostId: string | undefined): Promise<void> => {
    // It has been renewed meanwhile.
    if (renewal === undefined && lostId !== id) return Promise.resolve();
    renewal ??= open().finally(() => {
      renewal = undefined;
    });
    return renewal;
  };

  const stopListening = (): void => {
    listening?.abort();
    listening = undefined;
  };
  /** Keeps the session's own stream open: what the server asks and says by itself comes there. */
  const listen = (): void => {
    if (listening !== undefined || id === undefined || closing.aborted) return;
    const end = new AbortController();
    listening = end;
    const signal = AbortSignal.any([end.signal, closing]);
    follow(id, signal)
      .catch(() => undefined)
      .finally(() => {
        if (listening === end) listening = undefined;
      });
  };
  const follow = async (ofId: string, signal: AbortSignal): Promise<void> => {
    let lastId = '';
    for (let pauseMs = listenAgainMs; ; pauseMs = Math.min(pauseMs * 2, listenAgainMsMax)) {
      const response = await openStream({ wire, headers: headers(), signal }, lastId, true).catch(
        () => undefined,
      );
      signal.throwIfAborted();
      if (response?.statusCode === 200) {
        lastId = await takeEvents(response, deliver, lastId);
        pauseMs = listenAgainMs;
      } else {
        response?.resume();
        // Renewed at once, or whoever waits for news waits in vain.
        if (response?.statusCode === 404) return void renew(ofId).catch(() => undefined);
        // Asleep, over, or not offered: the next message finds out. A stream alone must wake nobody.
        if (response !== undefined && response.statusCode !== 503) return;
      }
      await sleep(pauseMs, signal);
    }
  };

  return {
    async send(message, text, signal) {
      await renewal?.catch(() => undefined);
      const isOpening = message.method === 'initialize';
      if (isOpening) {
        stopListening();
        [opening, id, version, isReady] = [text, undefined, undefined, false];
        settings.clear();
      }
      for (let tries = 0; ; tries += 1) {
        const sentIn = id;
        let answer: Message | undefined;
        let answerText = '';
        const take = async (found: Message, foundText: string): Promise<void> => {
          // Delivered last: what follows from it is known before the client can act on it.
          if (answers(found, message.id)) [answer, answerText] = [found, foundText];
          else await deliver(found, foundText);
        };
        const response = await exchange({
          wire,
          message,
          text,
          headers: headersOf(message),
          deliver: take,
          signal,
        });
        if (response === 'gone') {
          if (tries > 0) throw new Refusal('The instance does not keep the sessions it opens');
          await renew(sentIn);
          continue;
        }
        if (isOpening) adopt(response.headers['mcp-session-id'], answer);
        if (answer?.error === undefined) remember(settings, message, text);
        isReady ||= message.method === 'notifications/initialized';
        if (isReady) listen();
        return answer === undefined ? undefined : deliver(answer, answerText);
      }
    },
    async end(signal) {
      stopListening();
      if (id === undefined) return;
      const response = await wire.send({ method: 'DELETE', headers: headers(), signal, isImpatient: true });
      response.resume();
    },
  };
}

/** Keeps what a session must be told again after it was lost. */
function remember(settings: Map<string, string>, { method, params }: Message, text: string): void {
  const subscription = `subscribe ${String(params?.uri)}`;
  if (method === 'resources/unsubscribe') settings.delete(subscription);
  else if (method === 'logging/setLevel') settings.set('level', asOwn(text));
  else if (method === 'resources/subscribe' && settings.size < subscriptionsMax)
    settings.set(subscription, asOwn(text));
}

/** The same request under an id of the bridge's own. */
function asOwn(text: string): string {
  return JSON.stringify({ ...(JSON.parse(text) as object), id: ownId });
}
