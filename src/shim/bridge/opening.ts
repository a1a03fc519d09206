// Opens a fresh child in its era. Legacy: the one real initialize, with every capability the shim can pass on to a
// client, and a tools/list as the proof that it serves. Fails with what the child said, or with the signal's reason.
import { addCall, removeCall, toChild } from './calls.ts';
import { metaKeys, modernVersion } from './envelope.ts';
import { isObject, type Json, objectIn, stringIn } from './messages.ts';
import { ownEnvelope } from './modern.ts';
import { ownId } from './server-requests.ts';
import type { Core, InitializeResult } from './state.ts';

/** What the child is told its client can do. Whether one can is found out when the child asks. */
const capabilities = {
  roots: { listChanged: true },
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
};

const clientInfo = { name: 'minimcp', version: '0.1.0' };

/** Performs the handshake. @returns the child's answer to initialize */
export async function openLegacy(core: Core, signal: AbortSignal): Promise<InitializeResult> {
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo };
  const result = await ask(core, 'initialize', params, signal);
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
  toChild(core, '{"jsonrpc":"2.0","method":"notifications/initialized"}');
  if (opened.capabilities.tools !== undefined) await ask(core, 'tools/list', {}, signal);
  return opened;
}

/** The same for a child of the modern era: server/discover in place of the handshake. */
export async function openModern(core: Core, signal: AbortSignal): Promise<InitializeResult> {
  const _meta = ownEnvelope();
  const result = await ask(core, 'server/discover', { _meta }, signal);
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
  if (opened.capabilities.tools !== undefined) await ask(core, 'tools/list', { _meta }, signal);
  return opened;
}

/** One request of the shim's own. @returns its result; rejects with the child's error or the signal's reason */
function ask(core: Core, method: string, params: Json, signal: AbortSignal): Promise<Json> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const call = addCall(core, {
      idText: ownId,
      method,
      session: null,
      response: null,
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
    toChild(core, JSON.stringify({ jsonrpc: '2.0', id: call.childId, method, params }));
  });
}
