// Opens a fresh child in its era. Legacy: the one real initialize, with every capability the shim can pass on to a
// client, and a tools/list as the proof that it serves. Fails with what the child said, or with the signal's reason.

import type { ChildLink } from '../seams.ts';
import { addCall, removeCall, toChild } from './calls.ts';
import { metaKeys, modernVersion } from './envelope.ts';
import { isObject, type Json, objectIn, stringIn } from './messages.ts';
import { ownEnvelope } from './modern.ts';
import { ownId } from './server-requests.ts';
import type { Core, InitializeResult } from './state.ts';
import { logLevels, lowestLevel } from './wants.ts';

/** What the child is told its client can do. Whether one can is found out when the child asks. */
const capabilities = {
  roots: { listChanged: true },
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
};

const clientInfo = { name: 'minimcp', version: '0.1.0' };

/** Performs the handshake. @returns the child's answer to initialize */
export async function openLegacy(
  core: Core,
  link: ChildLink,
  signal: AbortSignal,
): Promise<InitializeResult> {
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo };
  const result = await ask(core, link, 'initialize', params, signal);
  const server = objectIn(result, 'serverInfo') ?? {};
  const opened: InitializeResult = {
    ...result,
    protocolVersion: stringIn(result, 'protocolVersion') ?? '',
    capabilities: objectIn(result, 'capabilities') ?? {},
    serverInfo: {
      ...server,
      name: stringIn(server, 'name') ?? '',
      version: stringIn(server, 'version') ?? '',
    },
  };
  toChild(core, '{"jsonrpc":"2.0","method":"notifications/initialized"}', link);
  if (opened.capabilities.tools !== undefined) await ask(core, link, 'tools/list', {}, signal);
  return opened;
}

/** The same for a child of the modern era: server/discover in place of the handshake. */
export async function openModern(
  core: Core,
  link: ChildLink,
  signal: AbortSignal,
): Promise<InitializeResult> {
  const _meta = ownEnvelope();
  const result = await ask(core, link, 'server/discover', { _meta }, signal);
  const server = objectIn(objectIn(result, '_meta'), metaKeys.server) ?? objectIn(result, 'serverInfo') ?? {};
  const opened: InitializeResult = {
    protocolVersion: modernVersion,
    capabilities: objectIn(result, 'capabilities') ?? {},
    serverInfo: {
      ...server,
      name: stringIn(server, 'name') ?? '',
      version: stringIn(server, 'version') ?? '',
    },
  };
  if (opened.capabilities.tools !== undefined) await ask(core, link, 'tools/list', { _meta }, signal);
  return opened;
}

/** Subscriptions that a child is told of at once. */
const subscribedAtOnce = 32;

/**
 * Tells a fresh legacy child what the clients of the one before it asked to hear. When it resolves, and until the next
 * event, there is nothing it has not been told.
 * @returns the level it logs at, an index into logLevels; null when it was not told one
 */
export async function replayWants(
  core: Core,
  link: ChildLink,
  { capabilities }: InitializeResult,
  signal: AbortSignal,
): Promise<number | null> {
  // What it refuses is not known to it; that is no reason to keep it from serving.
  const tell = (method: string, params: Json): Promise<unknown> =>
    ask(core, link, method, params, signal).catch(() => signal.throwIfAborted());
  let level: number | null = null;
  const told = new Set<string>();
  for (;;) {
    const lowest = capabilities.logging === undefined ? null : lowestLevel(core);
    const missing = objectIn(capabilities, 'resources')?.subscribe === true ? wantedUris(core, told) : [];
    if (lowest === level && missing.length === 0) return level;
    if (lowest !== level && lowest !== null) await tell('logging/setLevel', { level: logLevels[lowest] });
    level = lowest;
    await Promise.all(missing.map((uri) => tell('resources/subscribe', { uri })));
    for (const uri of missing) told.add(uri);
  }
}

/** Some of the resources that anyone is subscribed to, those told left out. */
function wantedUris(core: Core, told: ReadonlySet<string>): string[] {
  const wanted = new Set<string>();
  for (const { subscriptions } of [...core.sessions.values(), ...core.listeners]) {
    for (const uri of subscriptions) {
      if (told.has(uri)) continue;
      wanted.add(uri);
      if (wanted.size === subscribedAtOnce) return [...wanted];
    }
  }
  return [...wanted];
}

/** One request of the shim's own. @returns its result; rejects with the child's error or the signal's reason */
function ask(core: Core, link: ChildLink, method: string, params: Json, signal: AbortSignal): Promise<Json> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const call = addCall(core, {
      idText: ownId,
      method,
      session: null,
      response: null,
      link,
      taker: {
        answer(answered, { value }) {
          const message = value as Json;
          signal.removeEventListener('abort', onAbort);
          removeCall(core, answered);
          if (isObject(message.result)) resolve(message.result);
          else
            reject(
              new Error(`${method}: ${stringIn(message.error, 'message') ?? 'an answer without a result'}`),
            );
        },
        notify() {},
        ask: () => false,
        isParked: () => false,
      },
    });
    const onAbort = (): void => {
      removeCall(core, call);
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    toChild(core, JSON.stringify({ jsonrpc: '2.0', id: call.childId, method, params }), link);
  });
}
