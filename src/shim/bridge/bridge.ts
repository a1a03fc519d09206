// The way between the door and the child's pipes: takes requests that passed the door, answers every one of them.
// It outlives the child: when that dies, calls in flight get a JSON-RPC error and sessions are forgotten; when another
// takes its place while it lives, nobody notices.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { monotonicMs } from '../../base/clock.ts';
import type { Bridge, BridgeOptions, ChildLink } from '../seams.ts';
import { answerJson, codes, errorText, refuse } from './answers.ts';
import { readBody } from './body.ts';
import { failAllCalls, whenDone } from './calls.ts';
import { isModern, modernVersion } from './envelope.ts';
import { takeLine, tellAllChanged } from './from-child.ts';
import { letGo } from './hold.ts';
import { createHttpChild } from './http-child.ts';
import { giveUpAllParked } from './input-required.ts';
import { isSsePath, takeSse, takeSseMessage } from './legacy-sse.ts';
import { endAllListeners, listenAgain } from './listen.ts';
import { openLegacy, openModern, replayWants } from './opening.ts';
import { openHttp } from './opening-http.ts';
import { takePost } from './post.ts';
import { takeDelete, takeGet } from './session-http.ts';
import { removeSession } from './sessions.ts';
import { type Core, createCore, type InitializeResult } from './state.ts';
import { createSweep } from './sweep.ts';

/** Makes the bridge of one instance. */
export function createBridge({ spec, say }: BridgeOptions): Bridge {
  const core = createCore(spec, say);
  const sweep = createSweep(core);
  const { httpPort } = spec.child;
  const http = spec.child.transport === 'streamable-http' ? createHttpChild(core, httpPort ?? 0) : null;
  return {
    era: () => core.era,
    async open(link, signal) {
      link.onDrain(() => {
        if (core.link === link) unblock(core);
      });
      sweep.wake();
      core.opening = link;
      const server = await openChild(core, link, signal);
      const isLegacy = core.era === 'legacy' && http === null;
      const level = isLegacy ? await replayWants(core, link, server, signal) : null;
      signal.throwIfAborted();
      core.opening = null;
      const isOther = core.link !== null;
      // A child that speaks HTTP is sent nothing on its standard input.
      core.link = http === null ? link : null;
      core.server = server;
      core.childLevel = level;
      listenAgain(core);
      if (isOther) tellAllChanged(core);
      unblock(core);
      letGo(core.awaitingServer);
      const { name, version } = server.serverInfo;
      return { name, version, protocolVersion: server.protocolVersion };
    },
    receive(link, line) {
      if (http === null) takeLine(core, link, line);
      else if (line.length > 0) say('info', line.toString('utf8'));
    },
    childGone(link, reason) {
      const gone = http === null ? link : null;
      failAllCalls(core, `The server process ended: ${reason}`, gone);
      for (const [id, asked] of core.serverCalls) if (asked.link === gone) core.serverCalls.delete(id);
      if (core.opening === link) core.opening = null;
      if (core.link !== gone) return;
      core.link = null;
      endAllListeners(core);
      core.server = null;
      core.blocked = false;
      core.childLevel = null;
      for (const [state, parked] of core.parked) if (parked.call?.link === gone) core.parked.delete(state);
      core.paramHeaders.clear();
      for (const session of [...core.sessions.values()]) removeSession(core, session);
    },
    handle(request, response) {
      if (core.draining) {
        const message = 'The instance is stopping';
        return void refuse(response, { status: 503, code: codes.refused, message, closes: true });
      }
      if (http === null) handle(core, request, response);
      else http.forward(request, response);
      sweep.wake();
    },
    counters() {
      const inFlight = core.calls.size;
      const idleMs =
        core.requests === 0
          ? null
          : inFlight > 0 || core.idleSinceMs === null
            ? 0
            : monotonicMs() - core.idleSinceMs;
      return { sessions: core.sessions.size, inFlight, requests: core.requests, idleMs };
    },
    drain(signal) {
      core.draining = true;
      giveUpAllParked(core);
      letGoAll(core);
      return whenDone(core, () => true, signal);
    },
    answered: (link, signal) => whenDone(core, (call) => call.link === link, signal),
    close() {
      core.closed = true;
      core.draining = true;
      sweep.stop();
      http?.close();
      endAllListeners(core);
      giveUpAllParked(core);
      failAllCalls(core, 'The instance is stopping');
      for (const session of [...core.sessions.values()]) removeSession(core, session);
      letGoAll(core);
    },
  };
}

async function openChild(core: Core, link: ChildLink, signal: AbortSignal): Promise<InitializeResult> {
  const { transport, httpPort, era } = core.spec.child;
  if (transport === 'streamable-http') return openHttp(httpPort ?? 0, core.era === 'modern', signal);
  if (core.era === 'modern') return openModern(core, link, signal);
  try {
    return await openLegacy(core, link, signal);
  } catch (error) {
    if (era !== 'unknown' || signal.aborted || core.server !== null) throw error;
    // One that refuses initialize and lives on may speak only the modern era: it is asked before it is given up.
    core.era = 'modern';
    return openModern(core, link, signal).catch(() => {
      core.era = 'legacy';
      throw error;
    });
  }
}

function handle(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const sse = isSsePath(request.url);
  if (sse === 'stream' && core.era === 'legacy') return void takeSse(core, response);
  if (sse === 'message')
    return void readBody(core, request, response, (body) => takeSseMessage(core, request, response, body));
  if (request.method !== 'POST' && (core.era === 'modern' || isModern({}, request.headers))) {
    const message = `${request.method} is not served in ${modernVersion}`;
    answerJson(response, 405, errorText('null', codes.refused, message), ['Allow', 'POST']);
    return;
  }
  if (request.method === 'GET') return void takeGet(core, request, response);
  if (request.method === 'DELETE') return void takeDelete(core, request, response);
  readBody(core, request, response, (body) => takePost(core, request, response, body));
}

/** The child reads again. */
function unblock(core: Core): void {
  core.blocked = false;
  letGo(core.awaitingDrain);
}

function letGoAll(core: Core): void {
  for (const queue of [core.awaitingServer, core.awaitingDrain, core.awaitingRoom]) letGo(queue);
}
