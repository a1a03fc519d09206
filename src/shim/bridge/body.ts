// Receives the body of a request, bounded in bytes for one and for all. It holds nothing of a body that is refused,
// and reads none while the child does not read.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { codes, refuse } from './answers.ts';
import { hold, letGo } from './hold.ts';
import type { Core } from './state.ts';

/** Bodies up to this size are received without asking for room. */
const smallBytesMax = 64 * 1024;

/** Room for larger ones, as a multiple of the largest. */
const roomFactor = 4;

/**
 * Calls `then` with the whole body, or answers the request itself. Bodies wait while the child does not read, and
 * large ones until there is room.
 */
export function readBody(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  then: (body: Buffer) => void,
): void {
  const { bodyBytesMax, bodyTimeoutMs, inFlightMax, requestTimeoutMs } = core.bounds;
  const wait = (queue: Core['awaitingRoom'], waitMs: number, reason: string): void => {
    const go = (): void => readBody(core, request, response, then);
    hold({ core, response, idText: 'null', go, queue, waitMs, reason });
  };
  if (core.blocked) return void wait(core.awaitingDrain, requestTimeoutMs, 'The server does not keep up');
  const declared = request.headers['content-length'];
  const sizeBytes = declared === undefined ? bodyBytesMax : Number(declared);
  const roomBytes = sizeBytes > smallBytesMax ? sizeBytes : 0;
  if (core.roomBytes + roomBytes > bodyBytesMax * roomFactor)
    return void wait(core.awaitingRoom, bodyTimeoutMs, 'Too many large bodies at once');
  if (core.bodies >= inFlightMax) {
    const message = 'Too many requests are being received';
    refuse(response, { status: 503, code: codes.refused, message, retryAfterS: 1, closes: true });
    return;
  }
  receive({ core, request, response, roomBytes, then });
}

interface Receiving {
  readonly core: Core;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly roomBytes: number;
  readonly then: (body: Buffer) => void;
}

function receive({ core, request, response, roomBytes, then }: Receiving): void {
  core.roomBytes += roomBytes;
  core.bodies += 1;
  let chunks: Buffer[] = [];
  let sizeBytes = 0;
  let isOver = false;
  const finish = (): Buffer[] => {
    const whole = chunks;
    isOver = true;
    chunks = [];
    core.bodies -= 1;
    core.roomBytes -= roomBytes;
    if (roomBytes > 0) letGo(core.awaitingRoom);
    return whole;
  };
  const stop = (): void => {
    finish();
    const message = `The body is over ${core.bounds.bodyBytesMax} bytes`;
    refuse(response, { status: 413, code: codes.refused, message, closes: true });
    // What else comes is not read; the connection goes with the answer.
    request.pause();
    response.once('finish', () => request.destroy());
  };
  request.on('data', (chunk: Buffer) => {
    if (isOver) return;
    sizeBytes += chunk.length;
    if (sizeBytes > core.bounds.bodyBytesMax) stop();
    else chunks.push(chunk);
  });
  // `on` where each comes once anyway: it costs less than `once`.
  request.on('end', () => {
    if (isOver) return;
    const whole = finish();
    const [only] = whole;
    then(whole.length === 1 && only !== undefined ? only : Buffer.concat(whole));
  });
  request.on('close', () => {
    if (!isOver) finish();
  });
}
