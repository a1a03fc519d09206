// Answers a request with a stream of events: the headers, the caller's right to look, checked again while it lasts.
import type { Readable } from 'node:stream';
import { callerBehind } from './auth.ts';
import type { Call } from './operation.ts';
import type { SseEvent } from './streams.ts';

/** @param source makes the events; must end when its signal aborts */
export function openStream(
  call: Call<unknown, unknown, unknown>,
  source: (signal: AbortSignal) => AsyncIterable<SseEvent>,
): Readable {
  const { api, request, reply } = call;
  const stream = api.streams.open({
    caller: call.caller,
    signal: call.signal,
    recheck: () => callerBehind(api.accounts, request, { isUse: false }),
    onBroken: (error) => api.log.error({ err: error, request_id: request.id }, 'a stream broke'),
    source,
  });
  reply
    .type('text/event-stream; charset=utf-8')
    .header('cache-control', 'no-store')
    // Proxies of the nginx kind hold streams back unless told otherwise.
    .header('x-accel-buffering', 'no');
  return stream;
}
